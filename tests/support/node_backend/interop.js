// The service of gRPC's interoperability tests; what it does is said in tests/support/interop_behaviour.py.
//
// grpc-js reads compressed requests, but never compresses an answer and does not tell how a request came.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { Metadata } = require('@grpc/grpc-js');

const INITIAL_KEY = 'x-grpc-test-echo-initial';
const TRAILING_KEY = 'x-grpc-test-echo-trailing-bin';
const US_PER_MS = 1000;

function only(metadata, key) {
  const found = new Metadata();
  metadata.get(key).forEach((value) => found.add(key, value));
  return found;
}

function payloadOf(size) {
  return { payload: { body: Buffer.alloc(size) } };
}

function statusOf(request, call) {
  const { code, message } = request.response_status;
  return { code, details: message, metadata: only(call.metadata, TRAILING_KEY) };
}

function answer(call, callback, reply, extra = {}) {
  const initial = only(call.metadata, INITIAL_KEY);
  Object.entries(extra).forEach(([key, value]) => initial.set(key, value));
  if (call.request?.response_status?.code) {
    callback(statusOf(call.request, call));
    return;
  }
  call.sendMetadata(initial);
  callback(null, reply, only(call.metadata, TRAILING_KEY));
}

async function sendAll(call, request) {
  for (const { size, interval_us: intervalUs } of request.response_parameters) {
    await sleep(intervalUs / US_PER_MS);
    call.write(payloadOf(size));
  }
}

// Requests are answered in their order, each when the one before it is done.
function converse(call) {
  call.sendMetadata(only(call.metadata, INITIAL_KEY));
  let last = Promise.resolve();
  let isOver = false;
  call.on('data', (request) => {
    last = last.then(async () => {
      if (isOver) {
        return;
      }
      if (request.response_status?.code) {
        isOver = true;
        call.emit('error', statusOf(request, call));
        return;
      }
      await sendAll(call, request);
    });
  });
  call.on('end', async () => {
    await last;
    if (!isOver) {
      call.end(only(call.metadata, TRAILING_KEY));
    }
  });
}

const interopHandlers = {
  EmptyCall(call, callback) {
    answer(call, callback, {});
  },
  UnaryCall(call, callback) {
    answer(call, callback, payloadOf(call.request.response_size));
  },
  CacheableUnaryCall(call, callback) {
    const body = Buffer.from(`${process.hrtime.bigint()}`);
    answer(call, callback, { payload: { body } }, { 'cache-control': 'max-age=60, public' });
  },
  async StreamingOutputCall(call) {
    call.sendMetadata(only(call.metadata, INITIAL_KEY));
    await sendAll(call, call.request);
    call.end(only(call.metadata, TRAILING_KEY));
  },
  StreamingInputCall(call, callback) {
    let total = 0;
    call.on('data', (request) => {
      total += request.payload?.body.length ?? 0;
    });
    call.on('end', () => answer(call, callback, { aggregated_payload_size: total }));
  },
  FullDuplexCall: converse,
};

module.exports = { interopHandlers };
