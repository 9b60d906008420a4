// What the Cassandra client costs before any byte is sent: binding and writing an EXECUTE of ten columns, closing
// segments, finding tokens, reading rows. Nanoseconds each, the best of fifty short rounds, so that what else
// runs on the machine is seen least.
#include "clock.h"
#include "cql_frame.h"
#include "cql_request.h"
#include "cql_response.h"
#include "cql_token.h"
#include "cql_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS      50
#define REPEATS     100000
#define WRITER_CAP  (1u << 20)
#define FLUSH_COUNT 256u // envelopes of a flush

static const char id[16] = "0123456789abcdef";
static volatile uint64_t sink;

static void bind_row(struct cql_values *values, int64_t order_id)
{
    cql_values_reset(values);
    cql_bind_bigint(values, order_id);
    cql_bind_bigint(values, order_id + 1000);
    cql_bind_bigint(values, 771);
    cql_bind_text(values, TEXT("Laptop"));
    cql_bind_int(values, 3);
    cql_bind_decimal(values, 129999, 2);
    cql_bind_text(values, TEXT("123 Main St, City A"));
    cql_bind_text(values, TEXT("Pending"));
    cql_bind_timestamp(values, 1705795200000);
    cql_bind_unset(values);
}

static void write_row(struct cql_frame_writer *writer, struct cql_values *values, int version,
                      int64_t order_id)
{
    bind_row(values, order_id);
    const struct cql_parameters parameters = {
        .consistency = CQL_LOCAL_QUORUM,
        .values = cql_values_view(values),
        .timestamp_us = 1705795200000000 + order_id,
        .skip_metadata = true,
    };
    struct cql_writer *body =
        cql_frame_begin(writer, CQL_OPCODE_EXECUTE, 0, (int16_t)(order_id & 0x7FFF));
    cql_write_execute(body, version, (struct text){id, sizeof(id)}, (struct text){id, sizeof(id)},
                      &parameters);
    if (cql_frame_end(writer) != ERR_OK) {
        abort();
    }
}

static void flush(struct cql_frame_writer *writer)
{
    cql_frame_seal(writer);
    const struct text ready = cql_frame_ready(writer);
    sink += ready.size;
    cql_frame_sent(writer, ready.size);
}

static double measure_execute(int version, enum cql_compression compression)
{
    static char memory[1024];
    struct clock clock = clock_real();
    struct cql_values values;
    struct cql_frame_writer writer;
    cql_values_init(&values, memory, sizeof(memory));
    if (cql_frame_writer_init(&writer, version, compression, WRITER_CAP) != ERR_OK) {
        abort();
    }
    cql_frame_writer_started(&writer, compression);
    double best = 1e9;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const int64_t start = clock_mono_ns(&clock);
        for (int64_t i = 0; i < REPEATS; i++) {
            write_row(&writer, &values, version, i);
            if (i % FLUSH_COUNT == FLUSH_COUNT - 1) {
                flush(&writer);
            }
        }
        flush(&writer);
        const double each = (double)(clock_mono_ns(&clock) - start) / REPEATS;
        best = each < best ? each : best;
    }
    cql_frame_writer_deinit(&writer);
    return best;
}

static double measure_token(void)
{
    struct clock clock = clock_real();
    double best = 1e9;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const int64_t start = clock_mono_ns(&clock);
        for (uint64_t i = 0; i < REPEATS; i++) {
            sink += (uint64_t)cql_token((struct text){(const char *)&i, sizeof(i)});
        }
        const double each = (double)(clock_mono_ns(&clock) - start) / REPEATS;
        best = each < best ? each : best;
    }
    return best;
}

// A page of 1,000 rows of the ten columns above; nanoseconds a row.
static double measure_rows(void)
{
    enum { ROWS = 1000, COLUMNS = 10 };
    static char memory[1024];
    static char body[ROWS * 256];
    struct clock clock = clock_real();
    struct cql_values values;
    struct cql_writer writer;
    cql_writer_init(&writer, body, sizeof(body));
    cql_values_init(&values, memory, sizeof(memory));
    cql_write_int(&writer, CQL_RESULT_ROWS);
    cql_write_int(&writer, 4); // no metadata
    cql_write_int(&writer, COLUMNS);
    cql_write_int(&writer, ROWS);
    for (int64_t i = 0; i < ROWS; i++) {
        bind_row(&values, i);
        cql_write_raw(&writer, cql_values_view(&values).bytes);
    }
    const struct cql_envelope envelope = {
        .version = 4, .opcode = CQL_OPCODE_RESULT, .body = cql_writer_view(&writer)};
    double best = 1e9;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const int64_t start = clock_mono_ns(&clock);
        for (unsigned i = 0; i < REPEATS / ROWS; i++) {
            struct cql_response response;
            struct cql_cell cells[COLUMNS];
            int64_t order_id = 0;
            if (!cql_response_read(&envelope, &response)) {
                abort();
            }
            struct cql_row_reader reader = cql_rows_read(&response.rows);
            while (cql_row_next(&reader, cells, COLUMNS)) {
                sink += cql_get_bigint(cells[0], &order_id) == CQL_GOT_VALUE;
            }
        }
        const double each = (double)(clock_mono_ns(&clock) - start) / REPEATS;
        best = each < best ? each : best;
    }
    return best;
}

int main(void)
{
    printf("EXECUTE of 10 columns, v4            %6.1f ns\n",
           measure_execute(4, CQL_COMPRESSION_NONE));
    printf("EXECUTE of 10 columns, v5, sealed    %6.1f ns\n",
           measure_execute(5, CQL_COMPRESSION_NONE));
    printf("EXECUTE of 10 columns, v5, LZ4       %6.1f ns\n",
           measure_execute(5, CQL_COMPRESSION_LZ4));
    printf("token of a bigint                    %6.1f ns\n", measure_token());
    printf("row of 10 columns read and walked    %6.1f ns\n", measure_rows());
    return 0;
}
