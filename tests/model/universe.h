// Everything that occurs in a world, each thing once and known by a small number: rows, waiting entries,
// letters, projections, writes. A replica is one word of bits:
//
//   bits  0-15   rows of the order's partition, by row number
//   bits 16-39   three buckets of 8 bits: an entry for each message (6), CLOSED, DONE
//   bits 40-47   records of dead letters
#ifndef TILL_MODEL_UNIVERSE_H
#define TILL_MODEL_UNIVERSE_H

#include "arena.h"
#include "batch.h"
#include "clock.h"
#include "dead_letter.h"
#include "rules.h"
#include "store.h"
#include "world.h"

#define ROWS_MAX        16u
#define LETTERS_MAX     8u
#define PROJECTIONS_MAX 256u
#define WRITES_MAX      64u

#define EVENTS_MASK     UINT64_C(0xffff)
#define BUCKET_SHIFT(k) (16u + 8u * (k))
#define BUCKET_ENTRIES  0x3fu
#define BUCKET_CLOSED   0x40u
#define BUCKET_DONE     0x80u
#define BUCKET_BITS(k)  (UINT64_C(0xff) << BUCKET_SHIFT(k))
#define RECORD_SHIFT    40u
#define IDENTITY_NONE   0xffu
#define MODEL_ORDER_ID  42

static inline bool has_bit(uint64_t word, unsigned number)
{
    return (word >> number & 1u) != 0;
}

struct row {
    struct event event;
    uint8_t identity; // first message of the payment event that it is or speaks of
};

struct letter {
    struct hash id;
    enum reason reason;
    int64_t payment_id;
    uint8_t identity;
    struct text body;
    struct attributes attributes;
};

struct projection {
    uint16_t rows; // that make a difference to it
    int64_t timestamp;
    bool has_order;
    uint8_t matched; // identities of payment events that stand beside the order
    struct hash content;
};

struct universe {
    const struct world *world;
    struct way way;
    struct arena keep;
    struct pipeline_rules rules;
    struct virtual_time time;
    size_t message_count;
    struct bus_message messages[WORLD_MESSAGES_MAX];
    uint8_t message_row[WORLD_MESSAGES_MAX];
    uint8_t message_identity[WORLD_MESSAGES_MAX]; // first message of the same identity
    uint16_t message_rows;                        // all of them
    uint16_t loser_rows;                          // of conflicts
    uint8_t order_messages;                       // mask
    uint8_t payment_messages;
    struct hash content; // of the fold of all messages' events
    struct row rows[ROWS_MAX];
    size_t row_count;
    struct letter letters[LETTERS_MAX];
    size_t letter_count;
    struct projection projections[PROJECTIONS_MAX]; // from 1 on
    size_t projection_count;
    uint64_t writes[WRITES_MAX];
    size_t write_count;
};

struct universe *universe_create(const struct world *world, const struct way *way);
void universe_destroy(struct universe **universe);

unsigned universe_row(struct universe *universe, const struct event *event);
// The message of the payment event, or IDENTITY_NONE.
uint8_t universe_identity(const struct universe *universe, int64_t payment_id,
                          struct text event_id);
unsigned universe_letter(struct universe *universe, const struct dead_letter *letter,
                         struct attributes attributes);
// Number of the projection `fact`, folded from the rows of `rows_read`.
unsigned universe_projection(struct universe *universe, uint16_t rows_read,
                             const struct fact *fact);
unsigned universe_write(struct universe *universe, uint64_t mask);

uint16_t universe_rows_of(const struct universe *universe, enum event_kind kind);
uint16_t universe_notes_of(const struct universe *universe, enum note_kind kind, uint8_t identity);

int64_t universe_due_us(const struct universe *universe, unsigned bucket);
unsigned universe_bucket(const struct universe *universe, int64_t due_us);
// Waiting entry of a message, as its consumer writes it.
struct waiting_payment universe_entry(const struct universe *universe, unsigned message,
                                      unsigned bucket);

// Names of what a word of a replica holds, for people.
void universe_print_word(const struct universe *universe, uint64_t word, struct buf *out);

#endif
