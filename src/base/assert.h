/* Assertions for our own bugs, never for bytes from outside. They stay on in release builds. */
#ifndef DR_BASE_ASSERT_H
#define DR_BASE_ASSERT_H

/* Prints the last words to standard error and aborts. */
_Noreturn void dr_assert_failed(const char *expression, const char *file, int line);

#define dr_assert(expression) \
    ((expression) ? (void)0 : dr_assert_failed(#expression, __FILE__, __LINE__))
#define dr_unreachable() dr_assert_failed("unreachable", __FILE__, __LINE__)

/* Costly checks, in test builds only. */
#ifdef DR_SLOW_ASSERTS
#define dr_assert_slow(expression) dr_assert(expression)
#else
#define dr_assert_slow(expression) ((void)0)
#endif

#endif
