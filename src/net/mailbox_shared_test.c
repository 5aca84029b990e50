/* The mailbox under four senders: nothing is lost, each sender's order is kept. Run it under TSan
 * too. */
#include "net/mailbox.h"

#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

enum { SENDERS = 4, MESSAGES = 20000 };

struct receiver {
    struct dr_loop *loop;
    struct dr_mailbox *mailbox;
    int next[SENDERS];
    int total;
    int out_of_order;
};

struct letter {
    struct dr_message message;
    struct receiver *receiver;
    int sender;
    int number;
};

struct sender {
    pthread_t thread;
    struct receiver *receiver;
    int index;
};

static void letter_read(struct dr_message *message) {
    struct letter *letter = (struct letter *)(void *)message;
    struct receiver *receiver = letter->receiver;
    if (receiver->next[letter->sender] != letter->number) receiver->out_of_order++;
    receiver->next[letter->sender] = letter->number + 1;
    dr_free(letter);
    if (++receiver->total < SENDERS * MESSAGES) return;
    dr_mailbox_close(receiver->mailbox);
    receiver->mailbox = NULL;
}

static void *letters_send(void *owner) {
    const struct sender *sender = owner;
    for (int i = 0; i < MESSAGES; i++) {
        struct letter *letter = dr_alloc(sizeof(*letter));
        if (!letter) abort();
        *letter = (struct letter){.message.run = letter_read,
                                  .receiver = sender->receiver,
                                  .sender = sender->index,
                                  .number = i};
        dr_mailbox_post(sender->receiver->mailbox, &letter->message);
    }
    return NULL;
}

static void test_four_threads_post_and_nothing_is_lost_or_swapped(void **state) {
    (void)state;
    struct receiver receiver = {.total = 0};
    assert_int_equal(dr_loop_new(&receiver.loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(receiver.loop, &receiver.mailbox, NULL), DR_OK);
    struct sender senders[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.receiver = &receiver, .index = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, letters_send, &senders[i]), 0);
    }
    dr_loop_run(receiver.loop); /* ends when the last letter has closed the mailbox */
    for (int i = 0; i < SENDERS; i++) assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
    assert_int_equal(receiver.total, SENDERS * MESSAGES);
    assert_int_equal(receiver.out_of_order, 0);
    dr_loop_free(receiver.loop);
}

struct note {
    struct dr_message message;
    struct dr_mailbox *mailbox;
    int runs;
    int again;
};

static void note_read(struct dr_message *message) {
    struct note *note = (struct note *)(void *)message;
    note->runs++;
    if (note->again-- > 0) dr_mailbox_post(note->mailbox, message);
}

static void test_a_message_may_be_posted_again_from_its_own_run(void **state) {
    (void)state;
    struct dr_loop *loop;
    struct note note = {.message.run = note_read, .again = 3};
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(loop, &note.mailbox, NULL), DR_OK);
    dr_mailbox_post(note.mailbox, &note.message);
    for (int i = 0; i < 100 && note.runs < 4; i++) dr_loop_run_once(loop, 100);
    assert_int_equal(note.runs, 4);
    dr_mailbox_close(note.mailbox);
    dr_loop_free(loop);
}

static void test_messages_queued_at_close_are_run_before(void **state) {
    (void)state;
    struct dr_loop *loop;
    struct note note = {.message.run = note_read};
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    assert_int_equal(dr_mailbox_open(loop, &note.mailbox, NULL), DR_OK);
    dr_mailbox_post(note.mailbox, &note.message);
    dr_mailbox_close(note.mailbox);
    assert_int_equal(note.runs, 1);
    dr_loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_threads_post_and_nothing_is_lost_or_swapped),
        cmocka_unit_test(test_a_message_may_be_posted_again_from_its_own_run),
        cmocka_unit_test(test_messages_queued_at_close_are_run_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
