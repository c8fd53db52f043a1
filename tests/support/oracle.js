// oracle: what others' code says. Reads one JSON object on stdin, writes one on stdout; the command is the first argument. Every answer
// comes out of the provider's own SDK or of a package that somebody else wrote; nothing of reachd is in here.
'use strict';

const crypto = require('crypto');

const commands = {
  // Verifies a token: {token, key, algorithms}.
  'jwt-verify': ({ token, key, algorithms }) => {
    const decoded = require('jsonwebtoken').verify(token, key, { algorithms, complete: true });
    return { header: decoded.header, payload: decoded.payload };
  },
  'jwt-sign': ({ payload, secret, algorithm }) => ({
    token: require('jsonwebtoken').sign(payload, secret, { algorithm: algorithm || 'HS256' }),
  }),

  // A browser: subscribes with a VAPID key.
  'webpush-new': async ({ key }) => {
    const { PushApiModel } = require('web-push-testing/src/PushApiModel');
    const model = new PushApiModel(80);
    const { endpoint, keys, clientHash } = await model.subscribe(key ? { applicationServerKey: key } : {});
    const held = model.subscriptions[clientHash];
    return { endpoint, keys, clientHash, key, private: held.subscriptionDh.getPrivateKey('base64') };
  },
  // The same browser gets a message: {browser, authorization, ttl, encoding, body (base64)}.
  'webpush-open': async ({ browser, authorization, ttl, encoding, body }) => {
    const { PushApiModel } = require('web-push-testing/src/PushApiModel');
    const model = new PushApiModel(80);
    const ecdh = crypto.createECDH('prime256v1');
    ecdh.setPrivateKey(browser.private, 'base64');
    model.subscriptions[browser.clientHash] = {
      applicationServerKey: browser.key,
      subscriptionDh: ecdh,
      auth: browser.keys.auth,
      isExpired: false,
    };
    await model.handleNotification(browser.clientHash, { encoding, ttl, authorization }, Buffer.from(body, 'base64'));
    return { message: model.messages[browser.clientHash][0] };
  },

  'twilio-sign': ({ token, url, params }) => ({
    signature: require('twilio/lib/webhooks/webhooks').getExpectedTwilioSignature(token, url, params),
  }),
  // The request that Twilio's SDK makes: {sid, token, message}.
  'twilio-request': async ({ sid, token, message }) => {
    let seen;
    const httpClient = {
      request: async (options) => {
        seen = options;
        return { statusCode: 201, body: '{"sid":"SM1","status":"queued"}' };
      },
    };
    await require('twilio')(sid, token, { httpClient }).messages.create(message);
    return { method: seen.method, path: new URL(seen.uri).pathname, data: seen.data };
  },

  // Whether Vonage's SDK takes a token.
  'vonage-check': ({ token, secret }) => ({ ok: require('@vonage/jwt').verifySignature(token, secret) }),

  // {url, nonce, token}: makes a signature and asks Plivo's SDK whether it fits.
  'plivo-check': ({ url, nonce, token, signature }) => ({
    ok: require('plivo').validateSignature(url, nonce, signature, token),
  }),

  'messagebird-check': async ({ url, body, token, secret }) => {
    const lib = require('messagebird/lib/webhook-signature-jwt');
    await lib.verify(url, Buffer.from(body), token, crypto.createSecretKey(Buffer.from(secret)));
    return { ok: true };
  },

  // What Twilio's calculator makes of texts: [[1 for UCS-2, units, segments], ...]. By itself it also keeps the characters of one cluster (a
  // letter and its marks, a flag) in one segment, which no network does, and takes most of its time to find clusters. So it is handed
  // single characters; every tenth text without clusters goes through it as it is.
  'sms-segments': ({ texts }) => {
    const { SegmentedMessage } = require('sms-segments-calculator');
    const utils = require('sms-segments-calculator/dist/libs/textUtils');
    const { splitGraphemes } = utils;
    const answer = { ucs2: 0, untouched: 0 };
    answer.counts = texts.map((text, i) => {
      const characters = [...text];
      const untouched = i % 10 === 0 && splitGraphemes(text).length === characters.length;
      utils.splitGraphemes = untouched ? splitGraphemes : () => characters;
      const message = new SegmentedMessage(text);
      const ucs2 = message.encodingName === 'UCS-2';
      answer.untouched += untouched;
      answer.ucs2 += ucs2;
      return [ucs2 ? 1 : 0, message.messageSize / (ucs2 ? 16 : 7), text === '' ? 0 : message.segmentsCount];
    });
    return answer;
  },

  // The request that a provider's SDK makes for one SMS, caught on loopback, beside ours: {sdk, to, from, text, reference, ours (the body)}.
  'sdk-request': async ({ sdk, to, from, text, reference, ours }) => {
    let seen;
    const server = require('http').createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        seen = { method: request.method, path: request.url, type: request.headers['content-type'], body: Buffer.concat(chunks).toString() };
        response.end('{"message-count":"1","messages":[{"status":"0","message-id":"1"}],"message_uuid":"1"}');
      });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${server.address().port}`;
    const { Auth } = require('@vonage/auth');
    const auth = new Auth({ apiKey: 'abcd1234', apiSecret: 's3cret' });
    const senders = {
      'aws-sns': () => {
        const { SNSClient, PublishCommand } = require('@aws-sdk/client-sns');
        const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 's3cret' };
        const type = { DataType: 'String', StringValue: 'Transactional' };
        return new SNSClient({ endpoint: url, region: 'eu-west-1', credentials, maxAttempts: 1 }).send(
          new PublishCommand({ PhoneNumber: to, Message: text, MessageAttributes: { 'AWS.SNS.SMS.SMSType': type } }),
        );
      },
      'vonage-sms': () => new (require('@vonage/sms').SMS)(auth, { restHost: url }).send({ to, from, text, type: 'text', clientRef: reference }),
      'vonage-messages': () =>
        new (require('@vonage/messages').Messages)(auth, { apiHost: url }).send(
          new (require('@vonage/messages').SMS)({ to, from, text, clientRef: reference }),
        ),
    };
    await senders[sdk]().catch(() => {}); // its answer does not matter here
    server.closeAllConnections();
    server.close();
    const members = (body) => (body.startsWith('{') ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body)));
    return { method: seen.method, path: seen.path, theirs: members(seen.body), ours: members(ours) };
  },

  // AWS's own signer: {id, secret, region, service, host, headers, body, date}.
  sigv4: async ({ id, secret, region, service, method, host, path, headers, body, date }) => {
    const { SignatureV4 } = require('@smithy/signature-v4');
    const { Sha256 } = require('@aws-crypto/sha256-js');
    const signer = new SignatureV4({
      credentials: { accessKeyId: id, secretAccessKey: secret },
      region,
      service,
      sha256: Sha256,
      applyChecksum: false,
    });
    const request = { method, protocol: 'http:', hostname: host, path, headers: { ...headers, host }, body, query: {} };
    const signed = await signer.sign(request, { signingDate: new Date(date), signableHeaders: new Set(Object.keys(headers).concat('host')) });
    return { authorization: signed.headers.authorization };
  },

  // Whether a validator of SNS messages takes one: {message, certificate}. The certificate is handed over instead of fetched.
  'sns-check': ({ message, certificate }) =>
    new Promise((resolve) => {
      const { Readable } = require('stream');
      require('https').get = (url, done) => {
        const answer = Readable.from([Buffer.from(certificate)]);
        answer.statusCode = 200;
        done(answer);
        return { on: () => {} };
      };
      const Validator = require('sns-validator');
      new Validator().validate(message, (error) => resolve({ ok: !error, why: error ? String(error.message) : '' }));
    }),
  // Signs an SNS message: {message, key}. Not an oracle by itself: sns-check judges the result.
  'sns-sign': ({ message, key }) => {
    const names = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'];
    const text = names.filter((name) => name in message).map((name) => `${name}\n${message[name]}\n`).join('');
    const digest = message.SignatureVersion === '2' ? 'RSA-SHA256' : 'RSA-SHA1';
    return { signature: crypto.createSign(digest).update(text).sign(key, 'base64') };
  },
};

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const answer = await commands[process.argv[2]](JSON.parse(Buffer.concat(chunks).toString('utf8')));
  process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => {
  process.stdout.write(JSON.stringify({ error: String(error.message || error), missing: error.code === 'MODULE_NOT_FOUND' }));
});
