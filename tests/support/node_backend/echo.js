// The echo service, method by method. What it does is said in tests/protos/echo.proto.
'use strict';

const { createHash } = require('node:crypto');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { Metadata } = require('@grpc/grpc-js');

const BACKEND = 'node';

// Returns the handlers for grpc-js. `service` is the loaded definition of EchoService.
function echoHandlers(service, journal) {
  const handlers = {};
  for (const [name, definition] of Object.entries(service)) {
    const method = definition.path.slice(1);
    if (name === 'BidiStream') {
      handlers[name] = (call) => guardStream(call, () => converse(call, method, journal));
    } else if (name === 'Upload') {
      handlers[name] = (call, callback) => answerOnce(callback, () => takeUpload(call, method, journal));
    } else if (definition.requestStream) {
      handlers[name] = (call, callback) => answerOnce(callback, () => collect(call, method, journal));
    } else if (definition.responseStream) {
      handlers[name] = (call) => guardStream(call, () => sendStream(call, method, journal));
    } else {
      handlers[name] = (call, callback) => answerOnce(callback, () => answer(call, name, method, journal));
    }
  }
  return handlers;
}

// Thrown to end a call with a status; `metadata` are its trailers.
class Refusal extends Error {
  constructor(failure, behaviour) {
    super(failure.message);
    this.code = failure.code;
    this.details = failure.message;
    this.metadata = metadataOf(behaviour?.trailing_metadata);
    if (failure.status_details.length > 0) {
      this.metadata.set('grpc-status-details-bin', failure.status_details);
    }
  }
}

async function answerOnce(callback, run) {
  try {
    const { reply, trailers } = await run();
    callback(null, reply, trailers);
  } catch (error) {
    callback(error);
  }
}

async function guardStream(call, run) {
  try {
    call.end(await run());
  } catch (error) {
    call.emit('error', error);
  }
}

// Runs one call with its start and its end in the journal.
async function executed(call, first, method, journal, run) {
  const id = idOf(first);
  const behaviour = first.behaviour;
  journal.start(id, method);
  // The event comes after the end of a finished call too.
  let isOver = false;
  call.on('cancelled', () => {
    if (!isOver) {
      isOver = true;
      journal.cancel(id);
    }
  });
  try {
    if (behaviour?.initial_metadata.length > 0) {
      call.sendMetadata(metadataOf(behaviour.initial_metadata));
    }
    return await run(behaviour);
  } finally {
    if (!isOver) {
      isOver = true;
      journal.complete(id);
    }
  }
}

function answer(call, name, method, journal) {
  const request = call.request;
  return executed(call, request, method, journal, async (behaviour) => {
    await pause(behaviour);
    refuse(behaviour);
    return { reply: unaryReply(name, call, request, method), trailers: metadataOf(behaviour?.trailing_metadata) };
  });
}

function sendStream(call, method, journal) {
  const request = call.request;
  return executed(call, request, method, journal, async (behaviour) => {
    const failure = behaviour?.failure;
    for (let index = 0; index < (behaviour?.message_count || 1); index += 1) {
      await pause(behaviour);
      if (failure?.code && index >= failure.after_messages) {
        break;
      }
      await send(call, method.endsWith('/Download') ? partOf(request, index) : echoReply(call, request, method, index));
    }
    refuse(behaviour);
    return metadataOf(behaviour?.trailing_metadata);
  });
}

async function collect(call, method, journal) {
  const requests = requestsOf(call);
  const { value: first, done } = await requests.next();
  return executed(call, first ?? {}, method, journal, async (behaviour) => {
    const texts = done ? [] : [first.text];
    const failure = behaviour?.failure;
    while (!done && !(failure?.code && texts.length >= failure.after_messages)) {
      const next = await requests.next();
      if (next.done) {
        break;
      }
      texts.push(next.value.text);
    }
    await pause(behaviour);
    refuse(behaviour);
    const reply = { message_count: texts.length, texts, backend: BACKEND };
    return { reply, trailers: metadataOf(behaviour?.trailing_metadata) };
  });
}

async function takeUpload(call, method, journal) {
  const requests = requestsOf(call);
  let { value: request, done } = await requests.next();
  return executed(call, request ?? {}, method, journal, async () => {
    const reply = { id: idOf(request ?? {}), message_count: 0, size_bytes: 0, later: [], content_type: '' };
    const digest = createHash('sha256');
    while (!done) {
      const content = request.content ?? { content_type: '', data: Buffer.alloc(0) };
      if (reply.message_count === 0) {
        reply.content_type = content.content_type;
      } else {
        reply.later.push(...[request.id, content.content_type].filter((each) => each !== ''));
      }
      reply.message_count += 1;
      reply.size_bytes += content.data.length;
      digest.update(content.data);
      await sleep(request.sleep_ms);
      ({ value: request, done } = await requests.next());
    }
    reply.sha256 = digest.digest('hex');
    return { reply, trailers: new Metadata() };
  });
}

// One message of a download: the request's text is the content type, which the first one has.
function partOf(request, index) {
  const seed = (BigInt(request.seed) + BigInt(index)).toString();
  const data = payloadOf(seed, request.behaviour?.response_size_bytes ?? 0);
  return { content_type: index === 0 ? request.text : '', data };
}

async function converse(call, method, journal) {
  const requests = requestsOf(call);
  let { value: request, done } = await requests.next();
  return executed(call, request ?? {}, method, journal, async (behaviour) => {
    for (let index = 0; !done; index += 1) {
      await pause(request.behaviour);
      refuse(request.behaviour);
      await send(call, echoReply(call, request, method, index));
      ({ value: request, done } = await requests.next());
    }
    return metadataOf(behaviour?.trailing_metadata);
  });
}

// Without the option, the end of the requests would destroy the answering side of the call too.
function requestsOf(call) {
  return call.iterator({ destroyOnReturn: false });
}

function unaryReply(name, call, request, method) {
  if (name === 'RemoveItem' || name === 'DeleteItem') {
    return {};
  }
  if (name === 'ListItems') {
    const count = request.behaviour?.message_count ?? 0;
    return { items: Array.from({ length: count }, (_, index) => ({ id: `${index}`, name: `item ${index}`, size: index })) };
  }
  return echoReply(call, request, method, 0);
}

function echoReply(call, request, method, index) {
  const seed = request.seed ?? '0';
  const payload = payloadOf(seed, request.behaviour?.response_size_bytes ?? 0);
  const reply = {
    id: idOf(request),
    seed,
    text: request.text ?? '',
    payload,
    payload_sha256: createHash('sha256').update(payload).digest('hex'),
    backend: BACKEND,
    method,
    index,
    received_metadata: receivedMetadata(call.metadata),
    item: itemOf(request),
    update_mask: request.update_mask,
  };
  const deadline = call.getDeadline();
  if (deadline !== Infinity) {
    reply.timeout_ms = Math.max(0, Number(deadline) - Date.now());
  }
  return reply;
}

// An ItemRequest has the fields of an item beside its own; every other request has a field `item`, or none.
function itemOf(request) {
  if ('item' in request || !('tags' in request)) {
    return request.item;
  }
  const { id, name, size, tags } = request;
  return { id, name, size, tags };
}

function idOf(request) {
  return request.id ?? request.item?.id ?? '';
}

// SHAKE-256 over the decimal digits of the seed.
function payloadOf(seed, sizeBytes) {
  if (sizeBytes === 0) {
    return Buffer.alloc(0);
  }
  return createHash('shake256', { outputLength: sizeBytes }).update(`${seed}`).digest();
}

async function pause(behaviour) {
  if (behaviour?.sleep_ms) {
    await sleep(behaviour.sleep_ms);
  }
}

function refuse(behaviour) {
  if (behaviour?.failure?.code) {
    throw new Refusal(behaviour.failure, behaviour);
  }
}

// Waits while the client is slower than we are.
async function send(call, reply) {
  if (!call.write(reply) && !call.cancelled) {
    await Promise.race([once(call, 'drain'), once(call, 'cancelled')]);
  }
}

function metadataOf(entries) {
  const metadata = new Metadata();
  for (const { key, text, binary } of entries ?? []) {
    metadata.add(key, key.endsWith('-bin') ? binary : text);
  }
  return metadata;
}

function receivedMetadata(metadata) {
  return Object.keys(metadata.getMap()).flatMap((key) =>
    metadata.get(key).map((value) => (Buffer.isBuffer(value) ? { key, binary: value } : { key, text: value })),
  );
}

module.exports = { echoHandlers };
