/* curl_address: see curl_address.h.
 *
 * A gateway's host name is looked up at the time of sending, so what stands in the configuration says nothing about where the
 * request goes: a name that somebody else controls (a Web Push endpoint comes from a browser) could lead to a service inside
 * the house. The check is made on the address of the socket itself, after the look-up, for every new connection.
 *
 * Two tables of ranges, taken from the IANA special-purpose registries (RFC 6890 and its updates); an address in any is refused. */
#include "channels/curl_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct range4 {
    uint32_t network;
    int bits;
};

static const struct range4 closed4[] = {
    {0x00000000, 8},  /* 0.0.0.0/8 this network */
    {0x0a000000, 8},  /* 10.0.0.0/8 private */
    {0x64400000, 10}, /* 100.64.0.0/10 shared (carrier NAT) */
    {0x7f000000, 8},  /* 127.0.0.0/8 loopback */
    {0xa9fe0000, 16}, /* 169.254.0.0/16 link-local */
    {0xac100000, 12}, /* 172.16.0.0/12 private */
    {0xc0000000, 24}, /* 192.0.0.0/24 protocol assignments */
    {0xc0000200, 24}, /* 192.0.2.0/24 documentation */
    {0xc0586300, 24}, /* 192.88.99.0/24 6to4 relays */
    {0xc0a80000, 16}, /* 192.168.0.0/16 private */
    {0xc6120000, 15}, /* 198.18.0.0/15 benchmarks */
    {0xc6336400, 24}, /* 198.51.100.0/24 documentation */
    {0xcb007100, 24}, /* 203.0.113.0/24 documentation */
    {0xe0000000, 3},  /* 224.0.0.0/3 multicast, reserved, broadcast */
};

static bool is_public4(uint32_t address) {
    for (size_t i = 0; i < sizeof closed4 / sizeof closed4[0]; i++) {
        if ((address ^ closed4[i].network) >> (32 - closed4[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

struct range6 {
    uint8_t prefix[12];
    int bits;     /* a multiple of 8 */
    int holds_v4; /* offset of an IPv4 address inside, which decides; 0: closed as a whole */
};

/* Only 2000::/3 is handed out on the public internet; what is closed inside it, and the forms that hold IPv4, come first. */
static const struct range6 special6[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12}, /* ::ffff:0:0/96 mapped */
    {{0, 0x64, 0xff, 0x9b}, 96, 12},                      /* 64:ff9b::/96 NAT64 */
    {{0x20, 0x02}, 16, 2},                                /* 2002::/16 6to4 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, 0},                    /* 2001:db8::/32 documentation */
    {{0x20, 0x01, 0x00, 0x00}, 32, 0},                    /* 2001::/32 Teredo */
    {{0x3f, 0xff}, 16, 0},                                /* 3fff::/20 documentation, rounded up */
};

static uint32_t read4(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_public6(const uint8_t address[16]) {
    for (size_t i = 0; i < sizeof special6 / sizeof special6[0]; i++) {
        const struct range6 *range = &special6[i];
        if (memcmp(address, range->prefix, (size_t)range->bits / 8) == 0) {
            return range->holds_v4 != 0 && is_public4(read4(address + range->holds_v4));
        }
    }
    return (address[0] & 0xe0) == 0x20;
}

bool curl_address_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return is_public4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return is_public6(v6.sin6_addr.s6_addr);
    }
    return false;
}
