// The echo backend on Node's @grpc/grpc-js (and the service of the interoperability tests), with reflection v1 and v1alpha by @grpc/reflection.
//
// That reflection re-encodes descriptors with a library that knows no custom options: annotations (google.api.http) are
// lost, files of one package are merged into one, and import lists are empty. Real Node services look like this.
'use strict';

const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const { ReflectionService } = require('@grpc/reflection');
const { echoHandlers } = require('./echo');
const { interopHandlers } = require('./interop');
const { Journal } = require('./journal');

const PROTOS = path.join(__dirname, '..', '..', 'protos');
// protobufjs carries google/api/*.proto.
const GOOGLE_APIS = path.dirname(require.resolve('protobufjs/package.json'));
// And not this one.
const HTTP_BODY = `syntax = "proto3";
package google.api;
import "google/protobuf/any.proto";
message HttpBody { string content_type = 1; bytes data = 2; repeated google.protobuf.Any extensions = 3; }`;
const LOADING = { keepCase: true, longs: String, enums: Number, defaults: true, includeDirs: [PROTOS, GOOGLE_APIS] };
const STOP_GRACE_MS = 1000;

// Loads the echo service with more methods, each `ItemRequest -> EchoReply` without annotation.
function loadEcho(extraMethods) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'echo-proto-'));
  const methods = extraMethods.map((name) => `rpc ${name}(ItemRequest) returns (EchoReply);`).join(' ');
  const text = readFileSync(path.join(PROTOS, 'echo.proto'), 'utf8');
  mkdirSync(path.join(folder, 'google', 'api'), { recursive: true });
  writeFileSync(path.join(folder, 'google', 'api', 'httpbody.proto'), HTTP_BODY);
  writeFileSync(path.join(folder, 'echo.proto'), text.replace('service EchoService {', `service EchoService { ${methods}`));
  try {
    return protoLoader.loadSync('echo.proto', { ...LOADING, includeDirs: [folder, ...LOADING.includeDirs] });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function controlHandlers(journal) {
  return {
    GetJournal(call, callback) {
      const giveUp = journal.wait(call.request, (found) => callback(null, found));
      call.on('cancelled', giveUp);
    },
    ClearJournal(call, callback) {
      journal.clear();
      callback(null, {});
    },
    Die(call) {
      process.exit(call.request.exit_code);
    },
  };
}

function credentialsOf(options) {
  if (!options['tls-cert']) {
    return grpc.ServerCredentials.createInsecure();
  }
  const clientCa = options['tls-client-ca'] ? readFileSync(options['tls-client-ca']) : null;
  const pair = { private_key: readFileSync(options['tls-key']), cert_chain: readFileSync(options['tls-cert']) };
  return grpc.ServerCredentials.createSsl(clientCa, [pair], clientCa !== null);
}

function stopWhenTold(server) {
  let isStopping = false;
  const stop = () => {
    if (isStopping) {
      return;
    }
    isStopping = true;
    setTimeout(() => server.forceShutdown(), STOP_GRACE_MS).unref();
    server.tryShutdown(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.stdin.on('end', stop).resume();
}

function main() {
  const text = { type: 'string' };
  const { values: options } = parseArgs({
    options: {
      host: { ...text, default: '127.0.0.1' },
      port: { ...text, default: '0' },
      'tls-cert': text,
      'tls-key': text,
      'tls-client-ca': text,
      'extra-method': { ...text, multiple: true, default: [] },
    },
  });
  const echo = loadEcho(options['extra-method']);
  const control = protoLoader.loadSync('echo_control.proto', LOADING);
  const interop = protoLoader.loadSync('interop.proto', LOADING);
  const journal = new Journal();
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.so_reuseport': 0 });
  server.addService(echo['tests.echo.EchoService'], echoHandlers(echo['tests.echo.EchoService'], journal));
  server.addService(control['tests.echo.ControlService'], controlHandlers(journal));
  server.addService(interop['grpc.testing.TestService'], interopHandlers);
  new ReflectionService(echo).addToServer(server);
  server.bindAsync(`${options.host}:${options.port}`, credentialsOf(options), (error, port) => {
    if (error) {
      console.error(error.message);
      process.exit(1);
    }
    stopWhenTold(server);
    console.log(JSON.stringify({ event: 'ready', backend: 'node', port }));
  });
}

main();
