// smsc: a network's SMS centre on 127.0.0.1, made of npm smpp, for the tests of Kannel. smsc.js PORT
// Takes every message of the account reachd/smpppass and sends the delivery report that SMPP 3.4 (appendix B) describes. Prints what it took.
'use strict';

const smpp = require('smpp');

let taken = 0;

function report(session, pdu, id) {
  const stamp = '2611260900';
  session.deliver_sm({
    source_addr: pdu.destination_addr,
    destination_addr: pdu.source_addr,
    esm_class: 0x04,
    short_message: `id:${id} sub:001 dlvrd:001 submit date:${stamp} done date:${stamp} stat:DELIVRD err:000 text:`,
  });
}

const server = smpp.createServer((session) => {
  session.on('bind_transceiver', (pdu) => {
    const known = pdu.system_id === 'reachd' && pdu.password === 'smpppass';
    session.send(pdu.response(known ? {} : { command_status: smpp.ESME_RBINDFAIL }));
  });
  session.on('submit_sm', (pdu) => {
    const id = `npm-${++taken}`;
    console.log(`took ${pdu.destination_addr} coding ${pdu.data_coding}: ${pdu.short_message.message}`);
    session.send(pdu.response({ message_id: id }));
    if (pdu.registered_delivery) {
      report(session, pdu, id);
    }
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response()));
  session.on('error', () => session.close());
});
server.listen(Number(process.argv[2]), '127.0.0.1');
