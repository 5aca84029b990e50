/* Samples for schemas: that they fit, and that no schema makes them endless. */
#include "sim/schema_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What the sample of `schema` must be for seed 0, as text. */
static const struct {
    const char *schema;
    const char *expected;
} cases[] = {
    {"{\"type\":\"object\"}", "{}"},
    {"{}", "{}"},
    {"{\"const\":42}", "42"},
    {"{\"enum\":[\"a\",\"b\"]}", "\"a\""},
    {"{\"type\":\"boolean\"}", "false"},
    {"{\"type\":\"null\"}", "null"},
    {"{\"type\":[\"null\",\"integer\"],\"minimum\":5}", "5"},
    {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":5}", "5"},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":5}", "6"},
    {"{\"type\":\"integer\",\"maximum\":-3}", "-3"},
    {"{\"type\":\"integer\",\"exclusiveMaximum\":-3}", "-4"},
    {"{\"type\":\"integer\",\"minimum\":-9007199254740991,\"maximum\":9007199254740991}", "1"},
    {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":0}", "-5"},
    {"{\"type\":\"integer\",\"minimum\":7,\"multipleOf\":5}", "10"},
    {"{\"type\":\"integer\",\"minimum\":-10,\"maximum\":5,\"multipleOf\":7}", "-7"},
    {"{\"type\":\"number\",\"minimum\":0.2,\"maximum\":0.8}", "0.5"},
    {"{\"type\":\"number\",\"minimum\":1.5}", "2"},
    {"{\"type\":\"string\"}", "\"amber\""},
    {"{\"type\":\"string\",\"maxLength\":2}", "\"am\""},
    {"{\"type\":\"string\",\"minLength\":7}", "\"amberam\""},
    {"{\"type\":\"string\",\"format\":\"date\"}", "\"2026-11-24\""},
    {"{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"maximum\":1,\"minimum\":1}}", "[1,1]"},
    {"{\"type\":\"array\",\"minItems\":3,\"items\":{\"const\":0}}", "[0,0,0]"},
    {"{\"type\":\"array\",\"maxItems\":1,\"items\":{\"const\":0}}", "[0]"},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":\"x\"}]}", "[1,\"x\"]"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"type\":\"object\","
     "\"properties\":{\"c\":{\"const\":2}}}},\"required\":[\"a\"]}",
     "{\"a\":1,\"b\":{\"c\":2}}"},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"const\":3}]}", "3"},
    {"{\"oneOf\":[{\"const\":4},{\"const\":5}]}", "4"},
    {"{\"allOf\":[{\"properties\":{\"a\":{\"const\":1}}},{\"properties\":{\"b\":{\"const\":2}}}]}",
     "{\"a\":1,\"b\":2}"},
    {"{\"$ref\":\"#/$defs/x\",\"$defs\":{\"x\":{\"const\":6}}}", "6"},
    {"{\"$ref\":\"#/$defs/none\"}", "{}"},
};

static void test_samples_fit_their_schemas(void **state) {
    (void)state;
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf text;
    dr_buf_init(&text, 1024 * 1024);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dr_json schema;
        const dr_slice source = dr_slice_text(cases[i].schema);
        assert_int_equal(dr_json_read(reader, source, 64, &schema, NULL), DR_OK);
        dr_buf_reset(&text);
        sim_schema_sample(&text, schema, 0);
        if (dr_slice_is(dr_buf_slice(&text), dr_slice_text(cases[i].expected))) continue;
        fail_msg("%s: %.*s", cases[i].schema, DR_FMT(dr_buf_slice(&text)));
    }
    dr_buf_clear(&text);
    dr_json_reader_free(reader);
}

static void test_endless_schemas_end(void **state) {
    (void)state;
    static const char *const schemas[] = {
        "{\"$ref\":\"#\"}",
        "{\"properties\":{\"a\":{\"$ref\":\"#\"},\"b\":{\"$ref\":\"#\"}}}",
        "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
        "{\"type\":\"array\",\"minItems\":2,\"items\":{\"$ref\":\"#\"}}",
        "{\"type\":\"array\",\"minItems\":100,\"items\":{\"$ref\":\"#\"}}",
        "{\"type\":\"string\",\"minLength\":999999999}",
        "{\"type\":\"integer\",\"minimum\":1e300}",
        "{\"type\":\"integer\",\"minimum\":5,\"maximum\":1}",
    };
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_buf text;
    dr_buf_init(&text, 1024 * 1024);
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        dr_json schema;
        assert_int_equal(dr_json_read(reader, dr_slice_text(schemas[i]), 64, &schema, NULL), DR_OK);
        dr_buf_reset(&text);
        sim_schema_sample(&text, schema, 0);
        assert_int_equal(dr_buf_status(&text), DR_OK);
        dr_json sample;
        const enum dr_status status = dr_json_read(reader, dr_buf_slice(&text), 64, &sample, NULL);
        if (status) fail_msg("%s: %zu bytes are no JSON", schemas[i], text.len);
    }
    dr_buf_clear(&text);
    dr_json_reader_free(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_fit_their_schemas),
        cmocka_unit_test(test_endless_schemas_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
