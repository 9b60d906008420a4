// Partitions in a hash table with chains; rows sorted in an array of pointers.
#include "replica.h"

#include "hash.h"

#include <assert.h>
#include <string.h>

#define POOL_CHUNK_SIZE ((size_t)256 * 1024)
#define POOL_CLASS_MIN  5 // 32 bytes

static const size_t columns_of[TABLE_COUNT] = {
#define X(name, columns) [TABLE_##name] = (columns),
    REPLICA_TABLE_TABLE(X)
#undef X
};

size_t table_columns(enum table table)
{
    return columns_of[table];
}

// --- memory -------------------------------------------------------------------------------------

static unsigned size_class(size_t size)
{
    return size <= (size_t)1 << POOL_CLASS_MIN ? POOL_CLASS_MIN
                                               : 64 - (unsigned)__builtin_clzll(size - 1);
}

// Not zeroed when it was used before.
static void *pool_take_raw(struct pool *pool, size_t size)
{
    unsigned class = size_class(size);
    size_t whole = (size_t)1 << class;
    void *memory = pool->free[class];
    if (memory != NULL) {
        memcpy(&pool->free[class], memory, sizeof(void *));
        return memory;
    }
    if (whole > POOL_CHUNK_SIZE / 4) {
        return sim_alloc(pool->sim, whole);
    }
    if (pool->left < whole) {
        pool->chunk = sim_alloc(pool->sim, POOL_CHUNK_SIZE);
        pool->left = POOL_CHUNK_SIZE;
    }
    memory = pool->chunk;
    pool->chunk += whole;
    pool->left -= whole;
    return memory;
}

void *pool_take(struct pool *pool, size_t size)
{
    return memset(pool_take_raw(pool, size), 0, size);
}

void pool_give(struct pool *pool, void *memory, size_t size)
{
    if (memory != NULL) {
        unsigned class = size_class(size);
        memcpy(memory, &pool->free[class], sizeof(void *));
        pool->free[class] = memory;
    }
}

void *pool_grow(struct pool *pool, void *items, size_t *cap, size_t size)
{
    size_t grown_cap = *cap == 0 ? 4 : *cap * 2;
    void *grown = pool_take(pool, grown_cap * size);
    if (*cap > 0) {
        memcpy(grown, items, *cap * size);
        pool_give(pool, items, *cap * size);
    }
    *cap = grown_cap;
    return grown;
}

// --- cells --------------------------------------------------------------------------------------

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

// As big-endian bytes compare.
static int compare_number(int64_t a, int64_t b)
{
    return ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b);
}

static int compare_waiting(const struct waiting_payment *a, const struct waiting_payment *b)
{
    int by = compare_i64(a->published_us, b->published_us);
    by = by != 0 ? by : compare_i64(a->attempts, b->attempts);
    by = by != 0 ? by : text_compare(a->message_id, b->message_id);
    return by != 0 ? by : text_compare(a->body, b->body);
}

static int compare_letters(const struct dead_letter_record *a, const struct dead_letter_record *b)
{
    int by = compare_i64(a->recorded_us, b->recorded_us);
    by = by != 0 ? by : compare_i64(a->attempts, b->attempts);
    by = by != 0 ? by : compare_i64(a->first_seen_us, b->first_seen_us);
    by = by != 0 ? by : text_compare(a->source_message_id, b->source_message_id);
    return by != 0 ? by : text_compare(a->body, b->body);
}

static int compare_values(const struct cell *a, const struct cell *b)
{
    if (a->kind != b->kind) {
        return compare_i64((int64_t)a->kind, (int64_t)b->kind);
    }
    if (a->kind != CELL_NUMBER && a->object == b->object) {
        return 0;
    }
    switch (a->kind) {
    case CELL_UNSET:
    case CELL_TOMBSTONE:
        return 0;
    case CELL_NUMBER:
        return compare_number(a->number, b->number);
    case CELL_TEXT:
        return text_compare(*(const struct text *)a->object, *(const struct text *)b->object);
    case CELL_HASH:
        return hash_compare(a->object, b->object);
    case CELL_EVENT: // all else follows from the key
        return compare_i64(((const struct event *)a->object)->published_us,
                           ((const struct event *)b->object)->published_us);
    case CELL_WAITING:
        return compare_waiting(a->object, b->object);
    case CELL_LETTER:
        return compare_letters(a->object, b->object);
    }
    assert(false);
    return 0;
}

bool cell_is_set(const struct cell *cell)
{
    return cell->kind > CELL_TOMBSTONE;
}

bool cell_wins(const struct cell *cell, const struct cell *old)
{
    if (cell->kind == CELL_UNSET || old->kind == CELL_UNSET) {
        return cell->kind != CELL_UNSET;
    }
    if (cell->timestamp != old->timestamp) {
        return cell->timestamp > old->timestamp;
    }
    if (cell->kind == CELL_TOMBSTONE || old->kind == CELL_TOMBSTONE) {
        return old->kind != CELL_TOMBSTONE;
    }
    return compare_values(cell, old) > 0;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->kind == b->kind && a->timestamp == b->timestamp && compare_values(a, b) == 0;
}

// --- rows ---------------------------------------------------------------------------------------

static int compare_changes(const struct letter_change *a, const struct letter_change *b)
{
    int by = compare_i64((int64_t)a->state, (int64_t)b->state);
    by = by != 0 ? by : compare_i64(a->checks, b->checks);
    by = by != 0 ? by : compare_i64(a->next_check_us, b->next_check_us);
    by = by != 0 ? by : compare_i64(a->at_us, b->at_us);
    by = by != 0 ? by : text_compare(a->who, b->who);
    return by != 0 ? by : text_compare(a->why, b->why);
}

int row_key_compare(enum table table, const struct row_key *a, const struct row_key *b)
{
    int by = compare_i64(a->first, b->first);
    by = by != 0 ? by : compare_i64(a->second, b->second);
    if (by != 0 || a->object == b->object) {
        return by;
    }
    if (a->object == NULL || b->object == NULL) {
        return a->object == NULL ? -1 : 1;
    }
    if (table == TABLE_EVENTS) {
        return event_compare(a->object, b->object);
    }
    return table == TABLE_LETTER_CHANGES
               ? compare_changes(a->object, b->object)
               : text_compare(*(const struct text *)a->object, *(const struct text *)b->object);
}

static size_t row_size(enum table table)
{
    return sizeof(struct row) + columns_of[table] * sizeof(struct cell);
}

// Where the row is or belongs, not before `low`; `middle` is looked at first.
static size_t find_between(const struct partition *partition, const struct row_key *key, size_t low,
                           size_t middle, bool *found)
{
    size_t high = partition->count;
    *found = false;
    while (low < high) {
        int by = row_key_compare(partition->table, &partition->rows[middle]->key, key);
        if (by == 0) {
            *found = true;
            return middle;
        }
        if (by < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
        middle = low + (high - low) / 2;
    }
    return low;
}

static size_t find_place(const struct partition *partition, const struct row_key *key, bool *found)
{
    return find_between(partition, key, 0, partition->count / 2, found);
}

struct row *partition_row(const struct partition *partition, const struct row_key *key)
{
    bool found = false;
    size_t at = find_place(partition, key, &found);
    return found ? partition->rows[at] : NULL;
}

static struct row *add_row_at(struct pool *pool, struct partition *partition, size_t at,
                              const struct row_key *key)
{
    if (partition->count == partition->cap) {
        partition->rows =
            pool_grow(pool, partition->rows, &partition->cap, sizeof(partition->rows[0]));
    }
    struct row *row = pool_take(pool, row_size(partition->table));
    row->key = *key;
    memmove(&partition->rows[at + 1], &partition->rows[at],
            (partition->count - at) * sizeof(partition->rows[0]));
    partition->rows[at] = row;
    partition->count++;
    return row;
}

static struct row *find_or_add(struct pool *pool, struct partition *partition,
                               const struct row_key *key)
{
    bool found = false;
    size_t at = find_place(partition, key, &found);
    return found ? partition->rows[at] : add_row_at(pool, partition, at, key);
}

// true when they differed.
static bool merge_cells(enum table table, struct row *row, const struct row *from)
{
    bool differs = false;
    for (size_t c = 0; c < columns_of[table]; c++) {
        if (!same_cell(&from->cells[c], &row->cells[c])) {
            differs = true;
            row->cells[c] =
                cell_wins(&from->cells[c], &row->cells[c]) ? from->cells[c] : row->cells[c];
        }
    }
    return differs;
}

bool partition_merge_row(struct pool *pool, struct partition *partition, const struct row *from)
{
    return merge_cells(partition->table, find_or_add(pool, partition, &from->key), from);
}

// The rows of the copy lie in one piece of memory.
static void copy_rows(struct pool *pool, struct partition *partition, const struct partition *from)
{
    size_t size = row_size(from->table);
    partition->block_size = from->count * size;
    partition->block = pool_take_raw(pool, partition->block_size);
    partition->cap = 4;
    while (partition->cap < from->count) {
        partition->cap *= 2;
    }
    partition->rows = pool_take_raw(pool, partition->cap * sizeof(partition->rows[0]));
    for (size_t i = 0; i < from->count; i++) {
        partition->rows[i] = (struct row *)(partition->block + i * size);
        memcpy(partition->rows[i], from->rows[i], size);
    }
    partition->count = from->count;
}

// Both are sorted, and mostly the same: the next row is looked for where the last one was.
bool partition_merge(struct pool *pool, struct partition *partition, const struct partition *from)
{
    bool differs = from->count != partition->count;
    if (partition->cap == 0 && from->count > 0) {
        copy_rows(pool, partition, from);
        return differs;
    }
    size_t at = 0;
    for (size_t i = 0; i < from->count; i++) {
        const struct row *row = from->rows[i];
        bool found = false;
        at = find_between(partition, &row->key, at, at, &found);
        struct row *into = found ? partition->rows[at] : add_row_at(pool, partition, at, &row->key);
        differs |= merge_cells(partition->table, into, row);
        at++;
    }
    return differs;
}

struct partition *partition_create(struct pool *pool, enum table table, struct partition_key key)
{
    struct partition *partition = pool_take(pool, sizeof(*partition));
    partition->table = table;
    partition->key = key;
    return partition;
}

static bool is_in_block(const struct partition *partition, const struct row *row)
{
    uintptr_t offset = (uintptr_t)row - (uintptr_t)partition->block;
    return partition->block != NULL && offset < partition->block_size;
}

void partition_destroy(struct pool *pool, struct partition *partition)
{
    if (partition == NULL) {
        return;
    }
    for (size_t i = 0; i < partition->count; i++) {
        if (!is_in_block(partition, partition->rows[i])) {
            pool_give(pool, partition->rows[i], row_size(partition->table));
        }
    }
    pool_give(pool, partition->block, partition->block_size);
    if (partition->cap > 0) {
        pool_give(pool, partition->rows, partition->cap * sizeof(partition->rows[0]));
    }
    pool_give(pool, partition, sizeof(*partition));
}

// --- replicas -----------------------------------------------------------------------------------

void replica_init(struct replica *replica, struct pool *pool)
{
    *replica = (struct replica){.pool = pool, .slot_count = 64};
    replica->slots = pool_take(pool, replica->slot_count * sizeof(replica->slots[0]));
}

void replica_clear(struct replica *replica)
{
    replica->last = NULL;
    for (size_t i = 0; replica->count > 0 && i < replica->slot_count; i++) {
        while (replica->slots[i] != NULL) {
            struct partition *next = replica->slots[i]->next;
            partition_destroy(replica->pool, replica->slots[i]);
            replica->slots[i] = next;
            replica->count--;
        }
    }
}

static size_t slot_of(size_t slot_count, enum table table, struct partition_key key)
{
    uint64_t mixed = hash_mix_u64((uint64_t)key.first + ((uint64_t)table << 56));
    return (size_t)hash_mix_u64(mixed ^ (uint64_t)key.second) & (slot_count - 1);
}

static bool is_partition(const struct partition *partition, enum table table,
                         struct partition_key key)
{
    return partition->table == table && partition->key.first == key.first &&
           partition->key.second == key.second;
}

struct partition *replica_find(const struct replica *replica, enum table table,
                               struct partition_key key)
{
    struct partition *partition = replica->slots[slot_of(replica->slot_count, table, key)];
    while (partition != NULL && !is_partition(partition, table, key)) {
        partition = partition->next;
    }
    return partition;
}

static void widen(struct replica *replica)
{
    struct partition **old = replica->slots;
    size_t old_count = replica->slot_count;
    replica->slot_count *= 2;
    replica->slots = pool_take(replica->pool, replica->slot_count * sizeof(old[0]));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct partition *partition = old[i];
            old[i] = partition->next;
            size_t slot = slot_of(replica->slot_count, partition->table, partition->key);
            partition->next = replica->slots[slot];
            replica->slots[slot] = partition;
        }
    }
    pool_give(replica->pool, old, old_count * sizeof(old[0]));
}

static struct partition *find_or_add_partition(struct replica *replica, enum table table,
                                               struct partition_key key)
{
    struct partition *partition = replica_find(replica, table, key);
    if (partition != NULL) {
        return partition;
    }
    if (replica->count >= replica->slot_count) {
        widen(replica);
    }
    partition = partition_create(replica->pool, table, key);
    size_t slot = slot_of(replica->slot_count, table, key);
    partition->next = replica->slots[slot];
    replica->slots[slot] = partition;
    replica->count++;
    return partition;
}

static void drop_old_undos(struct replica *replica, int64_t now_us)
{
    size_t kept = 0;
    for (size_t i = 0; i < replica->undo_count; i++) {
        if (replica->undos[i].at_us >= now_us - replica->undo_us) {
            replica->undos[kept++] = replica->undos[i];
        }
    }
    replica->undo_count = kept;
}

static void remember(struct replica *replica, struct cell *cell, const struct cell *after,
                     int64_t now_us)
{
    if (replica->undo_count == replica->undo_cap) {
        drop_old_undos(replica, now_us);
    }
    if (replica->undo_count == replica->undo_cap) {
        replica->undos =
            pool_grow(replica->pool, replica->undos, &replica->undo_cap, sizeof(replica->undos[0]));
    }
    replica->undos[replica->undo_count++] = (struct undo){now_us, cell, *cell, *after};
}

bool replica_put(struct replica *replica, struct partition_key key, const struct put *put,
                 int64_t now_us)
{
    assert(put->column < columns_of[put->table]);
    struct partition *partition = replica->last; // a mutation writes many cells of one
    if (partition == NULL || !is_partition(partition, put->table, key)) {
        partition = replica->last = find_or_add_partition(replica, put->table, key);
    }
    struct row *row = find_or_add(replica->pool, partition, &put->key);
    struct cell *cell = &row->cells[put->column];
    if (!cell_wins(&put->cell, cell)) {
        return false;
    }
    if (replica->undo_us > 0) {
        remember(replica, cell, &put->cell, now_us);
    }
    *cell = put->cell;
    return true;
}

void replica_forget_since(struct replica *replica, int64_t since_us)
{
    while (replica->undo_count > 0 && replica->undos[replica->undo_count - 1].at_us >= since_us) {
        const struct undo *undo = &replica->undos[--replica->undo_count];
        if (same_cell(undo->cell, &undo->after)) {
            *undo->cell = undo->before;
        }
    }
    replica->undo_count = 0; // what is older is on the disk
}

void replica_visit(const struct replica *replica, replica_visit_fn *visit, void *context)
{
    for (size_t i = 0; i < replica->slot_count; i++) {
        for (const struct partition *partition = replica->slots[i]; partition != NULL;
             partition = partition->next) {
            visit(partition, context);
        }
    }
}
