// Envelopes and segments: how messages lie on the connection.
//
// An envelope is one message: nine bytes (version, flags, stream, opcode, length), then its body. In v4
// envelopes follow each other bare, a body perhaps compressed. In v5 they lie in segments of at most
// 131,071 bytes, each with a CRC24 of its header and a CRC32 of its payload; a segment holds as many whole
// envelopes as fit ("self-contained"), or a slice of one that does not fit in a segment. OPTIONS, STARTUP
// and the answers to them are bare in v5 too (spec v5 sections 2 and 4.1.1; the constants of the check
// sums are in cql_crc.h).
//
// Reader and writer own their memory, touch no socket, and belong to one thread at a time.
#ifndef TILL_CQL_FRAME_H
#define TILL_CQL_FRAME_H

#include "cql_wire.h"
#include "errors.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CQL_VERSION_MIN 4
#define CQL_VERSION_MAX 5

#define CQL_ENVELOPE_HEADER_SIZE 9u
#define CQL_BODY_SIZE_MAX        (256u << 20) // by spec
#define CQL_SEGMENT_PAYLOAD_MAX  131071u      // bytes of a segment without header and trailer
#define CQL_COMPRESS_SIZE_MIN    512u         // what is smaller is sent as it is

enum cql_opcode {
    CQL_OPCODE_ERROR = 0x00,
    CQL_OPCODE_STARTUP = 0x01,
    CQL_OPCODE_READY = 0x02,
    CQL_OPCODE_AUTHENTICATE = 0x03,
    CQL_OPCODE_OPTIONS = 0x05,
    CQL_OPCODE_SUPPORTED = 0x06,
    CQL_OPCODE_QUERY = 0x07,
    CQL_OPCODE_RESULT = 0x08,
    CQL_OPCODE_PREPARE = 0x09,
    CQL_OPCODE_EXECUTE = 0x0A,
    CQL_OPCODE_REGISTER = 0x0B,
    CQL_OPCODE_EVENT = 0x0C,
    CQL_OPCODE_BATCH = 0x0D,
    CQL_OPCODE_AUTH_CHALLENGE = 0x0E,
    CQL_OPCODE_AUTH_RESPONSE = 0x0F,
    CQL_OPCODE_AUTH_SUCCESS = 0x10,
};

// Flags of an envelope (section 2.2). A compressed body is unpacked before it is seen.
#define CQL_FLAG_COMPRESSED UINT8_C(0x01)
#define CQL_FLAG_TRACING    UINT8_C(0x02)
#define CQL_FLAG_PAYLOAD    UINT8_C(0x04)
#define CQL_FLAG_WARNING    UINT8_C(0x08)
#define CQL_FLAG_BETA       UINT8_C(0x10)

#define CQL_STREAM_EVENT INT16_C(-1) // pushed by the server

enum cql_compression { CQL_COMPRESSION_NONE, CQL_COMPRESSION_LZ4 };

struct cql_envelope {
    uint8_t version; // 4 or 5; that of the server in an ERROR of the handshake
    uint8_t flags;   // CQL_FLAG_*, without CQL_FLAG_COMPRESSED
    uint8_t opcode;  // enum cql_opcode, or one that is unknown
    int16_t stream;  // -1 or more; -1 belongs to EVENT, what else has it is the caller's to judge
    struct text body;
};

// --- reading what the server sends ----------------------------------------------------------------

enum cql_frame_failure {
    CQL_FRAME_FAILURE_NONE,
    CQL_FRAME_FAILURE_VERSION,     // another version, or a request where an answer belongs
    CQL_FRAME_FAILURE_STREAM,      // a negative stream that is not -1
    CQL_FRAME_FAILURE_LENGTH,      // negative, above the limit, or not what the segment says
    CQL_FRAME_FAILURE_CHECKSUM,    // CRC24 or CRC32
    CQL_FRAME_FAILURE_SEGMENT,     // slices and whole envelopes mixed up
    CQL_FRAME_FAILURE_COMPRESSION, // does not unpack to what it says, or was not agreed on
    CQL_FRAME_FAILURE_NO_MEMORY,
};
const char *cql_frame_failure_text(enum cql_frame_failure failure);

struct cql_frame_limits {
    size_t room_size; // bytes to take from the socket at once; at least 64 KiB and a segment
    size_t body_max;  // bytes of one answer; at most CQL_BODY_SIZE_MAX
};
#define CQL_FRAME_LIMITS_DEFAULT                                                                   \
    ((struct cql_frame_limits){.room_size = 256u << 10, .body_max = CQL_BODY_SIZE_MAX})

struct cql_block; // memory of what could not stay where it was received: unpacked, or put together

struct cql_frame_reader {
    enum cql_frame_failure failure; // sticky
    // private
    struct cql_frame_limits limits;
    enum cql_compression compression;
    uint8_t version;
    bool handshake; // neither READY nor AUTHENTICATE came yet
    bool segmented;
    unsigned char *bytes; // received: [begin, end) are not yet looked at
    size_t begin;
    size_t end;
    size_t cap;
    size_t wanted;       // bytes from `begin` that the unfinished unit will have; 0 when unknown
    struct text segment; // envelopes of the present segment that were not given yet
    struct cql_block *assembly; // slices of a large envelope
    size_t assembly_total;      // its bytes, with the header
    struct cql_block *held;     // what views given since cql_frame_room point to
};

// For a connection that will speak `version` (4 or 5) and, after STARTUP, that compression.
// ERR_NO_MEMORY.
MUST_USE enum err cql_frame_reader_init(struct cql_frame_reader *reader, int version,
                                        enum cql_compression compression,
                                        struct cql_frame_limits limits);
void cql_frame_reader_deinit(struct cql_frame_reader *reader); // accepts a zeroed one
// What STARTUP asks for, when SUPPORTED told that it can't be what was given to init. To be called before
// STARTUP is sent.
void cql_frame_reader_agree(struct cql_frame_reader *reader, enum cql_compression compression);

// Where to receive, and how many bytes at most (at least one). Ends the life of all views given before,
// so it is called only after cql_frame_next has said CQL_FRAME_MORE. Of size 0: failure is
// CQL_FRAME_FAILURE_NO_MEMORY.
struct cql_frame_room {
    void *data;
    size_t size;
};
struct cql_frame_room cql_frame_room(struct cql_frame_reader *reader);
void cql_frame_received(struct cql_frame_reader *reader, size_t size); // <= size of the room

enum cql_frame_step {
    CQL_FRAME_ENVELOPE, // *out_envelope; its body lives until the next cql_frame_room
    CQL_FRAME_MORE,     // receive more
    CQL_FRAME_BROKEN,   // reader->failure: nothing on this connection can be trusted, close it
};
// The next envelope of what was received. In v5 the bytes after the first READY or AUTHENTICATE are
// read as segments, without the caller's doing. While neither came, an ERROR may be of another version.
enum cql_frame_step cql_frame_next(struct cql_frame_reader *reader,
                                   struct cql_envelope *out_envelope);

// --- writing what we send -------------------------------------------------------------------------

struct cql_frame_writer {
    // private
    struct cql_writer body; // of the envelope that is being written
    enum cql_compression compression;
    uint8_t version;
    bool started; // STARTUP was answered: segments (v5), compression
    bool in_envelope;
    unsigned char *bytes; // [sent, sealed) are ready, [sealed, end) the open segment
    size_t cap;
    size_t sent;
    size_t sealed;
    size_t end;
    size_t envelope;        // offset of the envelope that is being written
    unsigned char *scratch; // for LZ4
};

// A buffer of `cap` bytes (at least 256); pages that are never used cost no memory. An envelope must fit in
// it. ERR_NO_MEMORY.
MUST_USE enum err cql_frame_writer_init(struct cql_frame_writer *writer, int version,
                                        enum cql_compression compression, size_t cap);
void cql_frame_writer_deinit(struct cql_frame_writer *writer); // accepts a zeroed one

// To be called when READY or AUTHENTICATE has come, before anything more is written: from now on there
// are segments (v5) and the compression that STARTUP asked for: that given to init, or none. Everything
// before must have been sealed.
void cql_frame_writer_started(struct cql_frame_writer *writer, enum cql_compression compression);

// Begins an envelope and gives the writer of its body (cql_request.h). Flags: CQL_FLAG_TRACING.
struct cql_writer *cql_frame_begin(struct cql_frame_writer *writer, enum cql_opcode opcode,
                                   uint8_t flags, int16_t stream);
// Ends it. On an error the envelope is gone and all before it is as it was: ERR_FULL when there would
// be room after sending what is ready, ERR_TOO_LARGE when never (or above CQL_BODY_SIZE_MAX).
MUST_USE enum err cql_frame_end(struct cql_frame_writer *writer);
// Gives up the envelope that was begun.
void cql_frame_abandon(struct cql_frame_writer *writer);

// Closes the segment that envelopes were put into; to be called once before sending, so that as many
// as possible share one. Does nothing when there is none (always so in v4).
void cql_frame_seal(struct cql_frame_writer *writer);
// The bytes that may be sent: whole envelopes or segments. Valid until the next call.
struct text cql_frame_ready(const struct cql_frame_writer *writer);
void cql_frame_sent(struct cql_frame_writer *writer, size_t size); // that many of them were
// Whether all that was written is sent.
bool cql_frame_writer_idle(const struct cql_frame_writer *writer);

#endif
