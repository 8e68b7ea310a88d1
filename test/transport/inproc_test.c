#include "conn_harness.h"

#include "inproc_internal.h"
#include <string.h>
#include <unistd.h>

static unsigned accepted;
static int last_fd;

static void on_accept(int fd, void *user)
{
    (void)user;
    accepted++;
    last_fd = fd;
}

static weft__inproc *listen_as(harness *h, const char *name, uint32_t backlog)
{
    weft__inproc *inproc;

    accepted = 0;
    assert_int_equal(
        weft__inproc_listen(&inproc, h->loop, name, backlog, on_accept, NULL),
        WEFT_OK);
    return inproc;
}

static void a_connect_arrives_later_on_the_listeners_loop(void **state)
{
    harness *h = *state;
    weft__inproc *inproc = listen_as(h, "a", 4);
    char byte;
    int fd;

    assert_int_equal(weft__inproc_connect("a", &fd), WEFT_OK);
    assert_int_equal(accepted, 0);
    put_bytes(fd, "x", 1); /* it may write at once */
    turn_until(h, &accepted, 1);
    assert_int_equal(get_bytes(last_fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    close(last_fd);
    weft__inproc_close(inproc);
}

static void names_are_told_apart_and_taken_once(void **state)
{
    harness *h = *state;
    weft__inproc *a = listen_as(h, "a", 4), *b = listen_as(h, "ab", 4), *c;
    char longest[200];
    int fd;

    assert_int_equal(weft__inproc_listen(&c, h->loop, "a", 4, on_accept, NULL),
                     WEFT_EEXIST);
    assert_int_equal(weft__inproc_listen(&c, h->loop, "", 4, on_accept, NULL),
                     WEFT_EADDR);
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(
        weft__inproc_listen(&c, h->loop, longest, 4, on_accept, NULL),
        WEFT_EADDR);
    assert_int_equal(weft__inproc_connect("abc", &fd), WEFT_ECONNREFUSED);
    weft__inproc_close(a);
    assert_int_equal(weft__inproc_connect("a", &fd), WEFT_ECONNREFUSED);
    weft__inproc_close(b);
}

static void a_full_backlog_refuses(void **state)
{
    harness *h = *state;
    weft__inproc *inproc = listen_as(h, "a", 2);
    int fds[3];

    assert_int_equal(weft__inproc_connect("a", &fds[0]), WEFT_OK);
    assert_int_equal(weft__inproc_connect("a", &fds[1]), WEFT_OK);
    assert_int_equal(weft__inproc_connect("a", &fds[2]), WEFT_ECONNREFUSED);
    turn_until(h, &accepted, 1);
    close(last_fd);
    turn_until(h, &accepted, 2);
    assert_int_equal(weft__inproc_connect("a", &fds[2]), WEFT_OK);
    weft__inproc_close(inproc);
    settle(h);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void who_comes_too_late_is_closed_not_given_to_a_namesake(void **state)
{
    harness *h = *state;
    weft__inproc *inproc = listen_as(h, "a", 2);
    char byte;
    int fd;

    assert_int_equal(weft__inproc_connect("a", &fd), WEFT_OK);
    weft__inproc_close(inproc);
    inproc = listen_as(h, "a", 2);
    settle(h);
    assert_int_equal(accepted, 0);
    assert_int_equal(get_bytes(fd, &byte, 1), -1);
    close(fd);
    weft__inproc_close(inproc);
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_connect_arrives_later_on_the_listeners_loop),
        T(names_are_told_apart_and_taken_once),
        T(a_full_backlog_refuses),
        T(who_comes_too_late_is_closed_not_given_to_a_namesake),
    };
    return cmocka_run_group_tests_name("inproc", tests, NULL, NULL);
}
