#include "support.h"

#include <weft/address.h>

#include <arpa/inet.h>
#include <string.h>

static const char *text_of(const weft_address *addr)
{
    static char text[WEFT_ADDRESS_TEXT];

    return weft_address_format(addr, text, sizeof(text));
}

static weft_address parsed(const char *text)
{
    weft_address addr;
    const char *why = NULL;

    if (weft_address_parse(&addr, text, &why) != WEFT_OK)
        fail_msg("%s: %s", text, why);
    return addr;
}

static void texts_come_back_in_one_form(void **state)
{
    static const struct {
        const char *in, *out;
        weft_address_kind kind;
        uint16_t port;
    } rows[] = {
        {"127.0.0.1:80", "127.0.0.1:80", WEFT_ADDRESS_TCP, 80},
        {"tcp://10.0.0.7:8000", "10.0.0.7:8000", WEFT_ADDRESS_TCP, 8000},
        {"localhost:65535", "127.0.0.1:65535", WEFT_ADDRESS_TCP, 65535},
        {"0.0.0.0:0", "0.0.0.0:0", WEFT_ADDRESS_TCP, 0},
        {"255.255.255.255:65535", "255.255.255.255:65535", WEFT_ADDRESS_TCP,
         65535},
        {"100.20.3.109:10010", "100.20.3.109:10010", WEFT_ADDRESS_TCP, 10010},
        {"1.2.3.4:00080", "1.2.3.4:80", WEFT_ADDRESS_TCP, 80},
        {"[::1]:80", "[::1]:80", WEFT_ADDRESS_TCP, 80},
        {"tcp://[::]:0", "[::]:0", WEFT_ADDRESS_TCP, 0},
        {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443", WEFT_ADDRESS_TCP, 443},
        {"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", WEFT_ADDRESS_TCP, 1},
        {"unix:///run/w.sock", "unix:///run/w.sock", WEFT_ADDRESS_UNIX, 0},
        {"unix:/run/w.sock", "unix:///run/w.sock", WEFT_ADDRESS_UNIX, 0},
        {"unix:w.sock", "unix:w.sock", WEFT_ADDRESS_UNIX, 0},
        {"inproc:///greeter", "inproc:///greeter", WEFT_ADDRESS_INPROC, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weft_address addr = parsed(rows[i].in), again;

        assert_string_equal(text_of(&addr), rows[i].out);
        assert_int_equal(addr.kind, rows[i].kind);
        assert_int_equal(weft_address_port(&addr), rows[i].port);
        again = parsed(rows[i].out);
        assert_true(weft_address_equal(&addr, &again));
    }
}

static void what_is_no_address_is_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999",
        "127.0.0.1:80x",
        "127.0.0.1:x80",
        "127.0.0.1:+80",
        "127.0.0.1:-1",
        "127.0.0.1: 80",
        "127.0.0.1 :80",
        "127.0.0.1:80 ",
        " 127.0.0.1:80",
        "127.0.0.1:80\n",
        "127.0.0.1:8\x01"
        "0",
        "\x7f"
        "127.0.0.1:80",
        "127.0.0.1:0x50",
        "127.1:80",
        "1.2.3.4.5:80",
        "256.0.0.1:80",
        "1.2.3:80",
        "0127.0.0.1:80",
        "127.0.0.1:80:90",
        "example.com:80",
        "localhos:80",
        "LOCALHOST.:80",
        "111111111111111111111111111111111111111111111111:80",
        "::1:80",
        "::1",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[::1]:65536",
        "[::1]:80x",
        "[::1",
        "[",
        "[]",
        "[]:80",
        "[::1]]:80",
        "[[::1]]:80",
        "[:::1]:80",
        "[127.0.0.1]:80",
        "[fe80::1%eth0]:80",
        "[fe80::1%25eth0]:80",
        "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:80",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://tcp://127.0.0.1:80",
        "tcp:127.0.0.1:80",
        "http://127.0.0.1:80",
        "udp://127.0.0.1:80",
        "unix:",
        "unix://",
        "unix://relative",
        "unix:///run/a\tb",
        "inproc://name",
        "inproc:///",
        "inproc:name",
    };
    weft_address before, addr;

    (void)state;
    memset(&before, 0x55, sizeof(before));
    addr = before;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;

        if (weft_address_parse(&addr, bad[i], &why) != WEFT_ESYNTAX)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(why);
        assert_int_equal(weft_address_parse(&addr, bad[i], NULL), WEFT_ESYNTAX);
    }
    assert_int_equal(weft_address_parse(&addr, NULL, NULL), WEFT_ESYNTAX);
    /* An output is written on success only. */
    assert_memory_equal(&addr, &before, sizeof(addr));
}

static void the_longest_path_fits_and_one_more_does_not(void **state)
{
    char text[400] = "unix://";
    weft_address addr, again;

    (void)state;
    memset(text + 7, '/', 108);
    assert_int_equal(weft_address_parse(&addr, text, NULL), WEFT_ESYNTAX);
    text[7 + 107] = '\0';
    addr = parsed(text);
    assert_string_equal(text_of(&addr), text);
    again = parsed(text_of(&addr));
    assert_true(weft_address_equal(&addr, &again));

    memcpy(text, "inproc:///", 10);
    memset(text + 10, 'n', 300);
    assert_int_equal(weft_address_parse(&addr, text, NULL), WEFT_ESYNTAX);
    text[10 + 107] = '\0';
    addr = parsed(text);
    assert_string_equal(text_of(&addr), text);
}

static void a_text_is_cut_to_its_buffer(void **state)
{
    weft_address addr = parsed("127.0.0.1:80");
    char text[6] = "xxxxx";

    (void)state;
    assert_string_equal(weft_address_format(&addr, text, 5), "127.");
    assert_int_equal(text[5], '\0');
    assert_ptr_equal(weft_address_format(&addr, text, 0), text);
    assert_string_equal(
        weft_address_format(&(weft_address){0}, text, sizeof(text)), "");
}

static void different_addresses_are_not_equal(void **state)
{
    static const char *const all[] = {
        "127.0.0.1:80", "127.0.0.1:81",      "127.0.0.2:80", "[::1]:80",
        "[::1]:81",     "[::2]:80",          "unix:a",       "unix:///a",
        "inproc:///a",  "inproc:///b",       "unix:ab",      "[::]:80",
        "0.0.0.0:80",   "[::ffff:1.2.3.4]:1"};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
            weft_address a = parsed(all[i]), b = parsed(all[k]);

            assert_int_equal(weft_address_equal(&a, &b), i == k);
        }
}

static void loopback_and_wildcard_are_known(void **state)
{
    static const struct {
        const char *text;
        bool loopback, wildcard;
    } rows[] = {
        {"127.0.0.1:1", true, false},
        {"127.255.0.9:1", true, false},
        {"128.0.0.1:1", false, false},
        {"0.0.0.0:1", false, true},
        {"[::1]:1", true, false},
        {"[::]:1", false, true},
        {"[::2]:1", false, false},
        {"[::ffff:127.0.0.1]:1", true, false},
        {"[::ffff:0.0.0.0]:1", false, true},
        {"[::ffff:9.9.9.9]:1", false, false},
        {"unix:x", true, false},
        {"inproc:///x", true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weft_address addr = parsed(rows[i].text);

        assert_int_equal(weft_address_is_loopback(&addr), rows[i].loopback);
        assert_int_equal(weft_address_is_wildcard(&addr), rows[i].wildcard);
    }
    assert_false(weft_address_is_loopback(&(weft_address){0}));
}

static void a_sockaddr_is_the_address_it_was_made_of(void **state)
{
    static const char *const all[] = {"10.1.2.3:80", "[2001:db8::7]:8080",
                                      "unix:///run/x"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        weft_address a = parsed(all[i]), b;

        assert_int_equal(weft_address_from_sockaddr(&b, &a.u.sa, a.len),
                         WEFT_OK);
        assert_true(weft_address_equal(&a, &b));
        assert_string_equal(text_of(&b), all[i]);
        assert_int_equal(
            weft_address_from_sockaddr(&b, &a.u.sa, sizeof(sa_family_t) - 1),
            WEFT_EINVAL);
    }
}

static void hostile_sockaddrs_are_refused(void **state)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
        char room[sizeof(struct sockaddr_un) + 8];
    } u = {.un.sun_family = AF_UNIX};
    weft_address addr, other;
    const socklen_t head = offsetof(struct sockaddr_un, sun_path);

    (void)state;
    assert_int_equal(
        weft_address_from_sockaddr(&addr, (struct sockaddr *)&in4, 8),
        WEFT_EINVAL);
    assert_int_equal(weft_address_from_sockaddr(&addr, NULL, 16), WEFT_EINVAL);
    in4.sin_family = AF_UNSPEC;
    assert_int_equal(
        weft_address_from_sockaddr(&addr, (struct sockaddr *)&in4, sizeof(in4)),
        WEFT_ENOTSUP);

    assert_int_equal(weft_address_from_sockaddr(&addr, &u.sa, head), WEFT_OK);
    assert_string_equal(text_of(&addr), "unix:"); /* a client's, unnamed */

    memset(u.un.sun_path, 'x', sizeof(u.un.sun_path));
    assert_int_equal(weft_address_from_sockaddr(&addr, &u.sa, sizeof(u.un)),
                     WEFT_EINVAL); /* no NUL */
    assert_int_equal(weft_address_from_sockaddr(&addr, &u.sa, sizeof(u)),
                     WEFT_EINVAL);

    memcpy(u.un.sun_path, "/a\nb\0junk", 10);
    assert_int_equal(weft_address_from_sockaddr(&addr, &u.sa, head + 9),
                     WEFT_OK);
    assert_string_equal(text_of(&addr), "unix:///a?b");
    assert_int_equal(weft_address_from_sockaddr(&other, &u.sa, head + 5),
                     WEFT_OK);
    assert_true(weft_address_equal(&addr, &other));

    memcpy(u.un.sun_path, "\0abstract", 9);
    assert_int_equal(weft_address_from_sockaddr(&addr, &u.sa, head + 9),
                     WEFT_OK);
    assert_string_equal(text_of(&addr), "unix:@abstract");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back_in_one_form),
        cmocka_unit_test(what_is_no_address_is_refused_with_a_reason),
        cmocka_unit_test(the_longest_path_fits_and_one_more_does_not),
        cmocka_unit_test(a_text_is_cut_to_its_buffer),
        cmocka_unit_test(different_addresses_are_not_equal),
        cmocka_unit_test(loopback_and_wildcard_are_known),
        cmocka_unit_test(a_sockaddr_is_the_address_it_was_made_of),
        cmocka_unit_test(hostile_sockaddrs_are_refused),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
