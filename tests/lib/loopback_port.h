// A free port of 127.0.0.1 that stays ours: a server that the test starts may take it, leave it and take
// it again, and in the meantime nobody else gets it, neither another server nor, as its own end, a
// client that keeps trying to connect to it.
//
// It is held by a socket that is bound and never listens. The system gives such a port to others only
// when both sides set SO_REUSEADDR; ours sets it after the port was given, servers set it before they
// bind, and the next reservation doesn't.
#ifndef TILL_LOOPBACK_PORT_H
#define TILL_LOOPBACK_PORT_H

#include <stdbool.h>
#include <stdint.h>

struct loopback_port {
    int fd; // -1: none
    uint16_t number;
};

// False with errno set when there is none.
bool loopback_port_reserve(struct loopback_port *out_port);
void loopback_port_release(struct loopback_port *port);

// A non-blocking socket that listens on the port, for whoever has reserved it; -1 with errno set.
int loopback_port_listen(const struct loopback_port *port);

// A non-blocking socket that is connected to the port of 127.0.0.1, or soon will be; -1 with errno set.
int loopback_port_connect(uint16_t number);

// Whether somebody lets a connection to the port in; else errno says why not.
bool loopback_port_is_open(uint16_t number, int timeout_ms);

#endif
