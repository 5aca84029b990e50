/* Money as text, and costs against a table that Python's decimal module made. */
#include "model/money.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_parse_takes_exact_decimals_and_nothing_else(void **state) {
    static const struct {
        const char *text;
        bool is_good;
        int64_t nanousd;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"12.34", true, INT64_C(12340000000)},
        {"0.42", true, 420000000},
        {"60", true, INT64_C(60000000000)},
        {"-0.000000001", true, -1},
        {"0.000000001", true, 1},
        {"1.500000000", true, 1500000000},
        {"007", true, INT64_C(7000000000)},
        {"9200000000", true, INT64_C(9200000000000000000)},
        {"-9200000000.000000000", true, -INT64_C(9200000000000000000)},
        {"9200000000.000000001", false, 0},
        {"9200000001", false, 0},
        {"99999999999999999999999", false, 0},
        {"0.0000000001", false, 0},
        {"1e-7", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {".5", false, 0},
        {"5.", false, 0},
        {"+5", false, 0},
        {"1.2.3", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1,5", false, 0},
        {"--1", false, 0},
        {"nan", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        money amount = {77};
        const bool is_good = money_parse(dr_slice_text(cases[i].text), &amount);
        if (is_good != cases[i].is_good || amount.nanousd != (is_good ? cases[i].nanousd : 77)) {
            fail_msg("'%s' gives %d, %lld", cases[i].text, is_good, (long long)amount.nanousd);
        }
    }
}

static void test_format_is_shortest_and_parses_back(void **state) {
    static const struct {
        int64_t nanousd;
        const char *text;
    } cases[] = {
        {0, "0"},
        {INT64_C(12340000000), "12.34"},
        {1, "0.000000001"},
        {-1, "-0.000000001"},
        {INT64_C(-60000000000), "-60"},
        {100000000, "0.1"},
        {1000000001, "1.000000001"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[MONEY_TEXT_BYTES];
        money_format((money){cases[i].nanousd}, text);
        assert_string_equal(text, cases[i].text);
    }
    uint64_t seed = 1;
    for (int i = 0; i < 10000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const money amount = {(int64_t)(seed >> (1 + seed % 60)) % INT64_C(9200000000000000000)};
        char text[MONEY_TEXT_BYTES];
        money back = {-7};
        money_format(amount, text);
        assert_true(money_parse(dr_slice_text(text), &back));
        assert_int_equal(back.nanousd, amount.nanousd);
    }
}

static void test_put_appends_the_same_text(void **state) {
    struct dr_buf buf;

    (void)state;
    dr_buf_init(&buf, 64);
    money_put(&buf, (money){420000000});
    assert_int_equal(dr_buf_status(&buf), DR_OK);
    assert_true(dr_slice_is(dr_buf_slice(&buf), DR_LIT("0.42")));
    dr_buf_clear(&buf);
}

/* prompt, completion, total, cached; prices of input, output, cached input; cost. */
static const struct {
    uint64_t prompt;
    uint64_t completion;
    uint64_t total;
    uint64_t cached;
    int64_t input;
    int64_t output;
    int64_t cached_input;
    int64_t cost;
} costs[] = {
    {UINT64_C(1), UINT64_C(0), UINT64_C(1), UINT64_C(0), INT64_C(1), INT64_C(0), INT64_C(0),
     INT64_C(0)},
    {UINT64_C(0), UINT64_C(0), UINT64_C(0), UINT64_C(0), INT64_C(8000000000), INT64_C(8000000000),
     INT64_C(8000000000), INT64_C(0)},
    {UINT64_C(1000), UINT64_C(500), UINT64_C(1500), UINT64_C(0), INT64_C(8000000000),
     INT64_C(8000000000), INT64_C(8000000000), INT64_C(12000000)},
    {UINT64_C(1), UINT64_C(0), UINT64_C(1), UINT64_C(0), INT64_C(500000), INT64_C(0), INT64_C(0),
     INT64_C(1)},
    {UINT64_C(1), UINT64_C(0), UINT64_C(1), UINT64_C(0), INT64_C(499999), INT64_C(0), INT64_C(0),
     INT64_C(0)},
    {UINT64_C(3), UINT64_C(0), UINT64_C(3), UINT64_C(0), INT64_C(500000), INT64_C(0), INT64_C(0),
     INT64_C(2)},
    {UINT64_C(100), UINT64_C(10), UINT64_C(150), UINT64_C(0), INT64_C(1000000000),
     INT64_C(1000000000), INT64_C(1000000000), INT64_C(150000)},
    {UINT64_C(100), UINT64_C(10), UINT64_C(110), UINT64_C(40), INT64_C(1000000000),
     INT64_C(2000000000), INT64_C(100000000), INT64_C(84000)},
    {UINT64_C(10), UINT64_C(1), UINT64_C(11), UINT64_C(50), INT64_C(1000000000), INT64_C(0),
     INT64_C(0), INT64_C(0)},
    {UINT64_C(1000000000000), UINT64_C(1000000000000), UINT64_C(2000000000000), UINT64_C(0),
     INT64_C(1000000000000000), INT64_C(1000000000000000), INT64_C(1000000000000000),
     INT64_C(9223372036854775807)},
    {UINT64_C(18446744073709551615), UINT64_C(18446744073709551615), UINT64_C(18446744073709551615),
     UINT64_C(0), INT64_C(1000000000000000), INT64_C(1000000000000000), INT64_C(1000000000000000),
     INT64_C(9223372036854775807)},
    {UINT64_C(993908), UINT64_C(50), UINT64_C(993958), UINT64_C(0), INT64_C(2503055453),
     INT64_C(5032582), INT64_C(454710), INT64_C(2487807091)},
    {UINT64_C(1171979), UINT64_C(11), UINT64_C(1171990), UINT64_C(0), INT64_C(84641177),
     INT64_C(75642), INT64_C(5244506512), INT64_C(99197683)},
    {UINT64_C(296), UINT64_C(2363), UINT64_C(2659), UINT64_C(292), INT64_C(1728987),
     INT64_C(49982352), INT64_C(574351), INT64_C(118283)},
    {UINT64_C(72), UINT64_C(9), UINT64_C(81), UINT64_C(68), INT64_C(8261117831),
     INT64_C(1287489453), INT64_C(4095259), INT64_C(44910)},
    {UINT64_C(73), UINT64_C(537), UINT64_C(610), UINT64_C(57), INT64_C(123800),
     INT64_C(18648987694), INT64_C(44760853609), INT64_C(12565877)},
    {UINT64_C(97), UINT64_C(75107), UINT64_C(75204), UINT64_C(43), INT64_C(878663959323),
     INT64_C(923713303249), INT64_C(990569), INT64_C(69424782964)},
    {UINT64_C(62141), UINT64_C(696414), UINT64_C(758555), UINT64_C(47917), INT64_C(787201343663),
     INT64_C(94004122248), INT64_C(6277933458), INT64_C(76963758441)},
    {UINT64_C(625), UINT64_C(7), UINT64_C(632), UINT64_C(0), INT64_C(53404922),
     INT64_C(10722414652), INT64_C(7536114), INT64_C(108435)},
    {UINT64_C(9218072), UINT64_C(904), UINT64_C(9218976), UINT64_C(4671130), INT64_C(991070207),
     INT64_C(184777), INT64_C(3891590), INT64_C(4524517039)},
    {UINT64_C(197), UINT64_C(9652), UINT64_C(9849), UINT64_C(0), INT64_C(7028755),
     INT64_C(9128916518), INT64_C(59853), INT64_C(88113687)},
    {UINT64_C(6678500), UINT64_C(6457), UINT64_C(6684957), UINT64_C(5320806), INT64_C(24983),
     INT64_C(218904), INT64_C(120956171173), INT64_C(643584356647)},
    {UINT64_C(629908), UINT64_C(1), UINT64_C(629909), UINT64_C(0), INT64_C(2635981472),
     INT64_C(916803), INT64_C(82418944), INT64_C(1660425818)},
    {UINT64_C(2492263), UINT64_C(264511), UINT64_C(2756774), UINT64_C(1527412), INT64_C(120956),
     INT64_C(525987419607), INT64_C(91533708734), INT64_C(278939260177)},
    {UINT64_C(104), UINT64_C(359279), UINT64_C(359383), UINT64_C(0), INT64_C(26897),
     INT64_C(9219587691), INT64_C(99371), INT64_C(3312404249)},
    {UINT64_C(84268), UINT64_C(1526903), UINT64_C(1611171), UINT64_C(67947), INT64_C(5967591),
     INT64_C(71483341), INT64_C(2733497277), INT64_C(294978464)},
    {UINT64_C(3922), UINT64_C(6722368), UINT64_C(6726290), UINT64_C(818), INT64_C(3139638261),
     INT64_C(36623), INT64_C(211566542930), INT64_C(183053063)},
    {UINT64_C(468952), UINT64_C(5863966), UINT64_C(6332918), UINT64_C(0), INT64_C(237865),
     INT64_C(370212034013), INT64_C(64780629), INT64_C(2170910891790)},
    {UINT64_C(7), UINT64_C(360717), UINT64_C(361542), UINT64_C(0), INT64_C(97849245808),
     INT64_C(64160468), INT64_C(7280054), INT64_C(23881200)},
    {UINT64_C(90963), UINT64_C(6641067), UINT64_C(6732030), UINT64_C(0), INT64_C(2131350),
     INT64_C(19811), INT64_C(720723438068), INT64_C(325440)},
    {UINT64_C(626), UINT64_C(9997043), UINT64_C(9998154), UINT64_C(0), INT64_C(358976),
     INT64_C(95206), INT64_C(552160), INT64_C(952049)},
    {UINT64_C(444), UINT64_C(3268292), UINT64_C(3268736), UINT64_C(14), INT64_C(39321318),
     INT64_C(78710264), INT64_C(9703897905), INT64_C(257400889)},
    {UINT64_C(2199051), UINT64_C(5), UINT64_C(2199056), UINT64_C(2167452), INT64_C(8922542),
     INT64_C(8782983), INT64_C(57688), INT64_C(407023)},
    {UINT64_C(623), UINT64_C(2), UINT64_C(625), UINT64_C(0), INT64_C(42727), INT64_C(853771949234),
     INT64_C(926131), INT64_C(1707571)},
    {UINT64_C(3), UINT64_C(35), UINT64_C(38), UINT64_C(0), INT64_C(464779), INT64_C(2199716799),
     INT64_C(485702592), INT64_C(76991)},
    {UINT64_C(68149300), UINT64_C(89), UINT64_C(68149389), UINT64_C(27190971), INT64_C(6990009),
     INT64_C(411423), INT64_C(78666534228), INT64_C(2139305749989)},
    {UINT64_C(7017), UINT64_C(3), UINT64_C(7020), UINT64_C(0), INT64_C(6143536), INT64_C(4246444),
     INT64_C(7847305), INT64_C(43122)},
    {UINT64_C(1542), UINT64_C(7983), UINT64_C(9691), UINT64_C(0), INT64_C(72988986084),
     INT64_C(57291067597), INT64_C(47864027), INT64_C(579413926)},
    {UINT64_C(96672), UINT64_C(383729), UINT64_C(480401), UINT64_C(72620), INT64_C(20199881349),
     INT64_C(70143249317), INT64_C(550037437), INT64_C(27441790182)},
    {UINT64_C(14), UINT64_C(3834497), UINT64_C(3834511), UINT64_C(1), INT64_C(42507489),
     INT64_C(4537332), INT64_C(7084249), INT64_C(17398946)},
    {UINT64_C(53208), UINT64_C(68), UINT64_C(54217), UINT64_C(37394), INT64_C(4679204547),
     INT64_C(90204), INT64_C(7135635), INT64_C(74263862)},
    {UINT64_C(34), UINT64_C(1), UINT64_C(35), UINT64_C(0), INT64_C(277296), INT64_C(475816),
     INT64_C(44453), INT64_C(10)},
    {UINT64_C(4493940), UINT64_C(16937), UINT64_C(4510921), UINT64_C(0), INT64_C(4393873),
     INT64_C(23743), INT64_C(41874911), INT64_C(19746205)},
    {UINT64_C(69610), UINT64_C(3453951), UINT64_C(3523561), UINT64_C(0), INT64_C(372589510),
     INT64_C(32826), INT64_C(2011), INT64_C(26049335)},
    {UINT64_C(8), UINT64_C(24832), UINT64_C(24840), UINT64_C(3), INT64_C(690298),
     INT64_C(67244196001), INT64_C(72886936750), INT64_C(1670026539)},
    {UINT64_C(90143), UINT64_C(29), UINT64_C(90172), UINT64_C(0), INT64_C(51494244400),
     INT64_C(17015), INT64_C(9269), INT64_C(4641845673)},
    {UINT64_C(56458), UINT64_C(7), UINT64_C(56551), UINT64_C(55133), INT64_C(642933425),
     INT64_C(92970676), INT64_C(48573390), INT64_C(3538530)},
    {UINT64_C(24877528), UINT64_C(34), UINT64_C(24877562), UINT64_C(8832971), INT64_C(6644629555),
     INT64_C(4623360), INT64_C(233931686), INT64_C(108676449595)},
    {UINT64_C(191845), UINT64_C(5), UINT64_C(191850), UINT64_C(124424), INT64_C(33310074),
     INT64_C(11908), INT64_C(877294617), INT64_C(111402304)},
    {UINT64_C(18), UINT64_C(9614), UINT64_C(9632), UINT64_C(0), INT64_C(676102887),
     INT64_C(11339077), INT64_C(6535001), INT64_C(121184)},
    {UINT64_C(755684), UINT64_C(2448), UINT64_C(758422), UINT64_C(0), INT64_C(93717),
     INT64_C(97641151387), INT64_C(8787189), INT64_C(267412293)},
};

static void test_cost_is_exact_rounded_half_up_and_saturates(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) {
        const struct usage usage = {.source = USAGE_REPORTED,
                                    .prompt_tokens = costs[i].prompt,
                                    .completion_tokens = costs[i].completion,
                                    .total_tokens = costs[i].total,
                                    .cached_tokens = costs[i].cached};
        const struct price price = {costs[i].input, costs[i].output, costs[i].cached_input};
        const money cost = money_cost(&usage, &price);
        if (cost.nanousd != costs[i].cost) {
            fail_msg("row %zu: %lld instead of %lld", i, (long long)cost.nanousd,
                     (long long)costs[i].cost);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_takes_exact_decimals_and_nothing_else),
        cmocka_unit_test(test_format_is_shortest_and_parses_back),
        cmocka_unit_test(test_put_appends_the_same_text),
        cmocka_unit_test(test_cost_is_exact_rounded_half_up_and_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
