/* listener_tls: TLS in front of an evhttp server. */
#ifndef REACH_CHANNELS_LISTENER_TLS_H
#define REACH_CHANNELS_LISTENER_TLS_H

#include "base/err.h"

struct bufferevent;
struct event_base;
struct listener_tls;

/* Reads the certificate chain and its key (PEM files). NULL with *err. */
struct listener_tls *listener_tls_new(const char *cert_file, const char *key_file, struct err *err);

/* A bufferevent for a connection that is about to be accepted: TLS 1.2 or newer and nothing else. NULL: no memory. */
struct bufferevent *listener_tls_bufferevent(struct listener_tls *tls, struct event_base *base);

/* After the last of its bufferevents. NULL is allowed. */
void listener_tls_free(struct listener_tls *tls);

#endif
