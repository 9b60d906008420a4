// The Cassandra part of till doctor. It only reads, so it can be run beside a pipeline at work; what is looked
// at, and judged, is the store's own business (store_cassandra.h).
#include "cassandra_settings.h"
#include "doctor.h"

#include <stdio.h>

#define PLACE_SIZE_MAX 512

static void take_finding(void *context, const struct store_finding *finding)
{
    static const enum finding states[] = {
        [STORE_FINDING_OK] = FINDING_OK,
        [STORE_FINDING_WARNING] = FINDING_WARNING,
        [STORE_FINDING_FAILED] = FINDING_FAILED,
    };
    doctor_find(context, finding->check, states[finding->state], finding->found, finding->remedy);
}

void doctor_check_cassandra(struct doctor *doctor)
{
    struct why why = {0};
    struct cassandra_settings settings;
    char place[PLACE_SIZE_MAX];
    if (cassandra_settings_read(doctor->context, &settings, &why) != ERR_OK) {
        doctor_find(doctor, "Cassandra", FINDING_FAILED, why.text, "see docs/configuration.md");
        return;
    }
    (void)snprintf(place, sizeof(place), "keyspace %s at %s", settings.options.keyspace,
                   settings.options.cluster.contact_points);
    doctor_find(doctor, "Cassandra", FINDING_OK, place, NULL);
    store_cassandra_check(&settings.options, take_finding, doctor);
}
