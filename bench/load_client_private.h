/* What the parts of a client share: HTTP in load_client.c, Anthropic's streams in
 * load_client_messages.c, WebSocket in load_client_ws.c. */
#ifndef DR_BENCH_LOAD_CLIENT_PRIVATE_H
#define DR_BENCH_LOAD_CLIENT_PRIVATE_H

#include "load_client.h"

/* The connection is given up; the owner decides what becomes of the client. */
void load_client_fail(struct load_client *client, enum load_fault fault, const char *bytes,
                      size_t len);
/* Adds to what came before. False when it grows too long. */
bool load_client_carry(struct load_client *client, const char *bytes, size_t len);
/* An event with these digits in it has come, and is the one that had to come. False when they are
 * no numbers. */
bool load_client_note_event(struct load_client *client, const char *due, const char *sent,
                            int64_t now_ns);
/* The answer is whole, or counted as a fault. */
void load_client_end_answer(struct load_client *client, int64_t now_ns);

/* The next line of a stream whose provider speaks Anthropic's Messages. False when it is not the
 * one that had to come. */
bool load_client_take_message_line(struct load_client *client, const char *line, size_t len,
                                   int64_t now_ns);

/* The connection stands: begins the handshake. */
void load_client_ws_open(struct load_client *client);
/* The head of the answer to it has come, `len` bytes with its end, whatever its status. */
bool load_client_ws_is_accepted(const char *head, size_t len, unsigned status);
void load_client_ws_ask(struct load_client *client);
/* Bytes on an open WebSocket. */
void load_client_ws_take(struct load_client *client, const char *bytes, size_t len, int64_t now_ns);

#endif
