/* receipt_gateway: one configured gateway as the listener sees it: whether it sends receipts over HTTP, and with which key and address. */
#ifndef REACH_CHANNELS_RECEIPT_GATEWAY_H
#define REACH_CHANNELS_RECEIPT_GATEWAY_H

#include "channels/channel.h"
#include "channels/receipt.h"

struct receipt_gateway {
    const char *name;
    const char *public_url; /* the address the provider calls, without query; or NULL */
    const char *topic;      /* SNS: the only topic that counts */
    const char *key;        /* what signatures are checked with; NULL where certificates are fetched */
    const struct receipt_rule *rule;
};

/* Finds out. Reads the secret. Everything lives in the arena or in *settings. 1 and *gateway_r; 0 where the gateway takes no receipts
 * over HTTP (another driver, nothing configured, a provider without receipts); -1 with *err. */
int receipt_gateway_open(const struct gateway_settings *settings, struct arena *arena, struct receipt_gateway *gateway_r, struct err *err);

#endif
