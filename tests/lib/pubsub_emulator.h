// Google's official Pub/Sub emulator as a child process on a free port of 127.0.0.1.
//
// It keeps everything in memory: killed and started again it knows no topic. It also feeds the stream of
// a client that is gone until its ack deadline is over, so tests take a new project or subscription name
// each, and short deadlines.
//
// A start takes half a second of a free machine, so a test program starts one and uses it in all its
// tests. It ends with the test at the latest, however that ends: the system kills it when the THREAD that
// started it ends, so start and restart it in a thread that lives as long as it shall. Otherwise calls
// may come from any thread, one at a time.
//
// What cannot go wrong in a test and does ends the process, with the emulator's last words on standard
// error. Every wait has an end.
#ifndef TILL_PUBSUB_EMULATOR_H
#define TILL_PUBSUB_EMULATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pubsub_emulator;

// To be called first in main: without an emulator or Java the program ends as skipped (exit code 77), with
// what is missing and how to get it on standard error. With CI=true it ends as failed (exit code 1), and
// so it does when TILL_PUBSUB_EMULATOR_JAR names a file that is not there.
void pubsub_emulator_require(void);

// Answers requests when it returns. Requires what is above.
struct pubsub_emulator *pubsub_emulator_start(void);
// Kills it and waits until it is gone.
void pubsub_emulator_stop(struct pubsub_emulator **emulator);

const char *pubsub_emulator_address(const struct pubsub_emulator *emulator); // "127.0.0.1:40001"
uint16_t pubsub_emulator_port(const struct pubsub_emulator *emulator);
pid_t pubsub_emulator_pid(const struct pubsub_emulator *emulator); // -1 after a kill

// SIGKILL. Connections are reset and new ones refused when it returns; the port stays ours.
void pubsub_emulator_kill(struct pubsub_emulator *emulator);
// On the same port, with nothing of what it knew. Kills it first when it still runs.
void pubsub_emulator_restart(struct pubsub_emulator *emulator);

// SIGSTOP: when it returns all its threads stand still. Connections are still accepted, by the system.
// Each pause wants its resume or a kill.
void pubsub_emulator_pause(struct pubsub_emulator *emulator);
void pubsub_emulator_resume(struct pubsub_emulator *emulator);

// Whether it answers a request within the time.
bool pubsub_emulator_answers(const struct pubsub_emulator *emulator, uint32_t timeout_ms);

#endif
