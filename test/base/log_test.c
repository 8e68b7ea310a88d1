/* log_test.c - records, their limits, their safety. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log_internal.h"

static char got[2048];
static unsigned records;
static weft_log_level got_level;

static void on_log(weft_log_level level, const char *event, const char *fields,
                   void *user)
{
    assert_ptr_equal(user, &records);
    records++;
    got_level = level;
    snprintf(got, sizeof got, "%s|%s", event, fields);
}

static int setup(void **state)
{
    (void)state;
    records = 0;
    got[0] = '\0';
    weft_log_set_sink(on_log, &records);
    weft_log_set_level(WEFT_LOG_INFO);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_log_set_sink(NULL, NULL);
    weft_log_set_level(WEFT_LOG_INFO);
    return 0;
}

static void a_record_reaches_the_sink_with_its_fields(void **state)
{
    (void)state;
    weft_log_warn("accept failed", "listener=%s n=%d", "tcp://x", 3);
    assert_string_equal(got, "accept failed|listener=tcp://x n=3");
    assert_int_equal(got_level, WEFT_LOG_WARN);
    weft_log_error("no fields", NULL);
    assert_string_equal(got, "no fields|");
}

static void what_is_below_the_level_is_dropped(void **state)
{
    weft_log_limit limit = {0};

    (void)state;
    weft_log_debug("quiet", NULL);
    weft_log_limited(&limit, WEFT_LOG_DEBUG, "quiet", NULL);
    assert_int_equal(records, 0);
    weft_log_set_level(WEFT_LOG_DEBUG);
    assert_int_equal(weft_log_get_level(), WEFT_LOG_DEBUG);
    weft_log_debug("heard", NULL);
    assert_int_equal(records, 1);
    weft_log_set_level(WEFT_LOG_OFF);
    weft_log_error("quiet", NULL);
    weft_log_write(WEFT_LOG_OFF, "quiet", NULL);
    assert_int_equal(records, 1);
}

static void a_long_record_is_cut_and_says_so(void **state)
{
    char text[3000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    weft_log_info("e", "text=%s", text);
    assert_int_equal(strlen(got), 2 + 1023);
    assert_string_equal(got + strlen(got) - 4, "x...");
}

static void a_peer_cannot_forge_a_line(void **state)
{
    (void)state;
    weft_log_info("e", "text=\"%s\"", "a\r\n2026 ERROR\033[31m\x7f \xc3\xa9");
    assert_string_equal(got, "e|text=\"a??2026 ERROR?[31m? \xc3\xa9\"");
}

static void a_limit_lets_a_burst_pass_in_each_window(void **state)
{
    weft_log_limit limit = {.burst = 2, .window_ms = 100};
    uint32_t suppressed = 99;

    (void)state;
    assert_true(weft__log_limit_take(&limit, 1000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_true(weft__log_limit_take(&limit, 1010, &suppressed));
    assert_false(weft__log_limit_take(&limit, 1020, &suppressed));
    assert_false(weft__log_limit_take(&limit, 1099, &suppressed));
    assert_true(weft__log_limit_take(&limit, 1100, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(weft__log_limit_take(&limit, 1100, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void a_zeroed_limit_means_five_in_ten_seconds(void **state)
{
    weft_log_limit limit = {0};
    uint32_t suppressed;
    int i;

    (void)state;
    for (i = 0; i < 5; i++)
        assert_true(weft__log_limit_take(&limit, 0, &suppressed));
    assert_false(weft__log_limit_take(&limit, 9999, &suppressed));
    assert_true(weft__log_limit_take(&limit, 10000, &suppressed));
    assert_int_equal(suppressed, 1);
}

static void the_first_after_a_silence_says_how_many_were_dropped(void **state)
{
    weft_log_limit limit = {.burst = 1, .window_ms = WEFT_OFF};

    (void)state;
    weft_log_limited(&limit, WEFT_LOG_WARN, "e", "n=%d", 1);
    weft_log_limited(&limit, WEFT_LOG_WARN, "e", "n=%d", 2);
    weft_log_limited(&limit, WEFT_LOG_WARN, "e", "n=%d", 3);
    assert_int_equal(records, 1);
    limit.used = 0; /* as if the window were over */
    weft_log_limited(&limit, WEFT_LOG_WARN, "e", "n=%d", 4);
    assert_string_equal(got, "e|suppressed=2 n=4");
    limit.used = 0;
    weft_log_limited(&limit, WEFT_LOG_WARN, "e", NULL);
    assert_string_equal(got, "e|");
}

static void the_default_sink_writes_a_line_to_stderr(void **state)
{
    char line[512];
    int fds[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    weft_log_set_sink(NULL, NULL);
    weft_log_warn("it happened", "k=%d", 7);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    n = read(fds[0], line, sizeof line - 1);
    close(fds[0]);
    assert_true(n > 25);
    line[n] = '\0';
    assert_int_equal(line[10], 'T');
    assert_string_equal(strchr(line, 'Z'), "Z WARN  weft: it happened k=7\n");
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(weft_log_level_name(WEFT_LOG_DEBUG), "DEBUG");
    assert_string_equal(weft_log_level_name(WEFT_LOG_OFF), "OFF");
    assert_string_equal(weft_log_level_name((weft_log_level)77), "UNKNOWN");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_record_reaches_the_sink_with_its_fields),
        TEST(what_is_below_the_level_is_dropped),
        TEST(a_long_record_is_cut_and_says_so),
        TEST(a_peer_cannot_forge_a_line),
        TEST(a_limit_lets_a_burst_pass_in_each_window),
        TEST(a_zeroed_limit_means_five_in_ten_seconds),
        TEST(the_first_after_a_silence_says_how_many_were_dropped),
        TEST(the_default_sink_writes_a_line_to_stderr),
        TEST(levels_have_names),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
