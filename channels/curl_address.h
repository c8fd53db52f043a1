/* curl_address: which network addresses a gateway may have. */
#ifndef REACH_CHANNELS_CURL_ADDRESS_H
#define REACH_CHANNELS_CURL_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/* Whether an address is one that the public internet routes to: false for loopback, private (RFC 1918, RFC 4193), link-local (where
 * cloud metadata services live), shared, documentation, benchmark, multicast and reserved ranges (RFC 6890), for IPv6 forms
 * that hold such an IPv4 address (mapped, NAT64, 6to4), and for every family that is not IP. */
bool curl_address_is_public(const struct sockaddr *address);

#endif
