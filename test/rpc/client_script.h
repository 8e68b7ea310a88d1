/* client_script.h - a resolver that says what the test wants: "script:///x".
 * After client_fixture.h. */
#ifndef WEFT_TEST_CLIENT_SCRIPT_H
#define WEFT_TEST_CLIENT_SCRIPT_H

static weft_watch *script_watch;
static weft_status script_refuses; /* its start fails with it */

static inline weft_status script_start(void *self, weft_watch *watch)
{
    (void)self;
    if (script_refuses != WEFT_OK) {
        weft_watch_fail(watch, script_refuses, "the script says no");
        return script_refuses;
    }
    script_watch = watch;
    return WEFT_OK;
}

static inline void script_close(void *self)
{
    (void)self;
    script_watch = NULL;
}

static const weft_resolver_ops script = {.scheme = "script",
                                         .self_size = 1,
                                         .start = script_start,
                                         .close = script_close};

/* texts: NULL-terminated; weight 0 is the default. */
static inline void publish_weighted(const char *const *texts, uint32_t weight)
{
    weft_endpoints_builder *b;
    weft_endpoints *list;

    assert_int_equal(weft_endpoints_builder_new(&b), WEFT_OK);
    for (; *texts != NULL; texts++) {
        weft_endpoint e = {.weight = weight};
        assert_int_equal(weft_address_parse(&e.address, *texts, NULL), WEFT_OK);
        assert_int_equal(weft_endpoints_builder_add(b, &e), WEFT_OK);
    }
    assert_int_equal(weft_endpoints_builder_finish(b, &list), WEFT_OK);
    weft_watch_publish(script_watch, list);
}

static inline void publish(const char *const *texts)
{
    publish_weighted(texts, 0);
}

static inline void reopen(fixture *f, const char *target,
                          const weft_channel_conf *conf)
{
    weft_channel_close(f->channel);
    test_loop_settle(&f->t);
    open_channel(f, target, conf);
}

#endif /* WEFT_TEST_CLIENT_SCRIPT_H */
