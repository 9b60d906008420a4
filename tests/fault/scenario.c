// The steps, and what each of them calls.
#include "scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define RETRIES_MAX 1000

// --- the script ------------------------------------------------------------------------------------

static void add_step(struct scenario *scenario, enum scenario_kind kind, size_t message)
{
    assert_in_range(scenario->step_count, 0, SCENARIO_STEPS_MAX - 1);
    scenario->steps[scenario->step_count].kind = kind;
    scenario->steps[scenario->step_count++].message = message;
}

// About 40 messages: pairs in both orders, versions, conflicts, refunds, orphans, bad ones; some
// of them twice.
static void fill_bag(struct bag *bag)
{
    static const struct bag_payment payments[] = {
        {.order_id = 1, .payment_id = 1001, .status = "Refunded", .amount = "4.00"},
        {.order_id = 2, .payment_id = 1002, .amount = "11.00"}, // conflict
        {.order_id = 3, .payment_id = 1003, .status = "Failed"},
        {.order_id = 9, .payment_id = 1009, .amount = "10.00"}, // before its order
        {.order_id = 50, .payment_id = 1050, .amount = "1.00"}, // orphans
        {.order_id = 51, .payment_id = 1051, .amount = "1.00", .currency = "EUR"},
    };
    bag_add_pairs(bag, 1, 6);
    for (size_t i = 0; i < sizeof(payments) / sizeof(payments[0]); i++) {
        bag_add_payment(bag, &payments[i]);
    }
    bag_add(bag, BUS_ORDERS, TEXT("{\"order_id\": 1, }"));
    bag_add(bag, BUS_PAYMENTS, TEXT("4111 1111 1111 1111"));
    bag_add_order(bag, &(struct bag_order){.order_id = 2, .version = 2, .price = "11.00"});
    bag_add_order(bag, &(struct bag_order){.order_id = 2, .version = 2, .price = "12.00"});
    bag_add_order(bag, &(struct bag_order){.order_id = 4, .version = 3, .customer_id = 8});
    bag_add_order(bag, &(struct bag_order){.order_id = 9});
    for (size_t i = 0, count = bag->count; i < count; i += 2) {
        bag_add(bag, bag->items[i].topic, bag->items[i].body);
    }
}

static void write_script(struct scenario *scenario)
{
    add_step(scenario, SCENARIO_RESTART, 0);
    for (size_t i = 0; i < scenario->bag.count; i++) {
        add_step(scenario, SCENARIO_PUBLISH, i);
        if (i % 6 == 5) {
            add_step(scenario, SCENARIO_RUN, 0);
        }
        if (i % 18 == 17) {
            add_step(scenario, SCENARIO_WAIT, 0);
            add_step(scenario, SCENARIO_RUN, 0);
            add_step(scenario, SCENARIO_SWEEP, 0);
            add_step(scenario, SCENARIO_CONSUME, 0);
            add_step(scenario, SCENARIO_RECHECK, 0);
        }
    }
    add_step(scenario, SCENARIO_RESTART, 0);
    add_step(scenario, SCENARIO_RUN, 0);
    add_step(scenario, SCENARIO_SWEEP_FINAL, 0);
    add_step(scenario, SCENARIO_CONSUME, 0);
    add_step(scenario, SCENARIO_WAIT, 0);
    add_step(scenario, SCENARIO_RECHECK, 0);
}

void scenario_init(struct scenario *scenario)
{
    memset(scenario, 0, sizeof(*scenario));
    bag_init(&scenario->bag);
    fill_bag(&scenario->bag);
    write_script(scenario);
    rig_init_closed(&scenario->rig);
}

void scenario_deinit(struct scenario *scenario)
{
    rig_deinit(&scenario->rig);
    bag_deinit(&scenario->bag);
}

// --- living ----------------------------------------------------------------------------------------

static enum err restart(struct scenario *scenario, struct why *why)
{
    struct rig *rig = &scenario->rig;
    enum err err = rig->open ? rig_try_close(rig, why) : ERR_OK;
    if (err == ERR_OK) {
        err = rig_try_open(rig, why);
    }
    if (err == ERR_OK && scenario->opened != NULL) {
        scenario->opened(rig);
    }
    return err;
}

static enum err do_step(struct scenario *scenario, struct why *why)
{
    struct rig *rig = &scenario->rig;
    const struct bag_message *message =
        &scenario->bag.items[scenario->steps[scenario->step].message];
    switch (scenario->steps[scenario->step].kind) {
    case SCENARIO_PUBLISH:
        return rig_try_publish(rig, message->topic, message->body, why);
    case SCENARIO_RUN:
        return rig_try_run(rig, why);
    case SCENARIO_WAIT:
        rig_advance_seconds(rig, 131);
        return ERR_OK;
    case SCENARIO_SWEEP:
        return rig_try_sweep(rig, false, why);
    case SCENARIO_SWEEP_FINAL:
        return rig_try_sweep(rig, true, why);
    case SCENARIO_CONSUME:
        return rig_try_consume_dead_letters(rig, why);
    case SCENARIO_RECHECK:
        return dead_letter_recheck(&rig->dead_letters, rig->time.wall_us, why);
    case SCENARIO_RESTART:
        return restart(scenario, why);
    }
    return ERR_INTERNAL;
}

// What the service does after such an error, with the disk cleared in the end.
static enum err prepare_retry(struct scenario *scenario, struct why *why)
{
    scenario->retries++;
    assert_non_null(scenario->make_room);
    assert_in_range(scenario->retries, 1, RETRIES_MAX);
    if (scenario->retries > scenario->room_after) {
        scenario->make_room();
    }
    return scenario->rig.open && scenario->rig.batch.count > 0
               ? batch_nack(&scenario->rig.batch, scenario->rig.bus, why)
               : ERR_OK;
}

enum err scenario_live(struct scenario *scenario, struct why *why)
{
    while (scenario->step < scenario->step_count) {
        enum err err = do_step(scenario, why);
        if (err_class_of(err) == ERR_CLASS_RETRY) {
            err = prepare_retry(scenario, why);
        } else if (err == ERR_OK) {
            scenario->step++;
        }
        if (err != ERR_OK && err_class_of(err) != ERR_CLASS_RETRY) {
            return err;
        }
    }
    return ERR_OK;
}

void scenario_start_again(struct scenario *scenario)
{
    if (scenario->rig.open) {
        rig_crash(&scenario->rig);
    }
    rig_open(&scenario->rig);
}

// --- the end ---------------------------------------------------------------------------------------

void scenario_assert_done(struct scenario *scenario, const struct picture *expected)
{
    struct picture picture;
    assert_int_equal(scenario->step, scenario->step_count);
    rig_assert_balanced(&scenario->rig);
    assert_int_equal(rig_count(&scenario->rig, "SELECT count(*) FROM waiting_payments"), 0);
    picture_take(&scenario->rig, &picture);
    picture_assert_same(&picture, expected);
    picture_deinit(&picture);
}

void scenario_undisturbed(struct picture *out_picture)
{
    static struct scenario scenario;
    struct why why = {0};
    scenario_init(&scenario);
    if (scenario_live(&scenario, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    picture_take(&scenario.rig, out_picture);
    scenario_deinit(&scenario);
}
