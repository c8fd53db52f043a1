/* test_http_address: which addresses count as public. */
#include "channels/curl_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static bool is_public(const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        return curl_address_is_public((const struct sockaddr *)&v4);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return curl_address_is_public((const struct sockaddr *)&v6);
}

static void addresses_of_the_public_internet_are_public(void **state) {
    (void)state;
    static const char *const texts[] = {
        "1.1.1.1",    "8.8.8.8",         "9.255.255.255",   "11.0.0.0",     "100.63.255.255",  "100.128.0.0",      "126.255.255.255",
        "128.0.0.0",  "169.253.255.255", "172.15.255.255",  "172.32.0.0",   "192.167.255.255", "192.169.0.0",      "198.17.255.255",
        "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8",  "64:ff9b::808:808", "2002:808:808::1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!is_public(texts[i])) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void fault_39_everything_inside_is_not_public(void **state) {
    (void)state;
    static const char *const texts[] = {"0.0.0.0",
                                        "10.0.0.1",
                                        "10.255.255.255",
                                        "100.64.0.1",
                                        "127.0.0.1",
                                        "127.255.255.254",
                                        "169.254.169.254",
                                        "172.16.0.1",
                                        "172.31.255.255",
                                        "192.0.0.1",
                                        "192.0.2.1",
                                        "192.168.1.1",
                                        "198.18.0.1",
                                        "198.19.255.255",
                                        "198.51.100.7",
                                        "203.0.113.9",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "::",
                                        "::1",
                                        "fc00::1",
                                        "fd12:3456::1",
                                        "fe80::1",
                                        "ff02::1",
                                        "2001:db8::1",
                                        "2001::1",
                                        "::ffff:127.0.0.1",
                                        "::ffff:10.0.0.1",
                                        "64:ff9b::7f00:1",
                                        "2002:7f00:1::1",
                                        "2002:a00:1::1",
                                        "::7f00:1",
                                        "3fff::1",
                                        "100::1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (is_public(texts[i])) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void other_families_are_not_public(void **state) {
    (void)state;
    struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "/run/redis.sock"};
    assert_false(curl_address_is_public((const struct sockaddr *)&path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_the_public_internet_are_public),
        cmocka_unit_test(fault_39_everything_inside_is_not_public),
        cmocka_unit_test(other_families_are_not_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
