// What the configuration, the flags and the environment say about Pub/Sub: the service, the names, the
// limits. Every command that touches Pub/Sub begins with these three:
//
//     pubsub_settings_read(context, &options, why);           which service, as whom; ERR_CONFIG, exit 78
//     pubsub_settings_say_target(context, &options);     one line for the person
//     pubsub_open(&options.client, &client, why);
#ifndef TILL_PUBSUB_SETTINGS_H
#define TILL_PUBSUB_SETTINGS_H

#include "bus_pubsub.h"
#include "command.h"
#include "pubsub_setup.h"

// Fills the options. The target is decided by the rules of pubsub_target.h from pubsub.project,
// pubsub.endpoint and PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID, GOOGLE_CLOUD_PROJECT; --allow-emulator
// confirms an emulator that stands beside a configured project. Asks nobody. Texts are borrowed from the
// configuration. ERR_CONFIG.
MUST_USE enum err pubsub_settings_read(const struct command_context *context,
                                       struct bus_pubsub_options *out_options, struct why *why);

// ERR_USAGE when a flag that is about Pub/Sub was given with another bus.
MUST_USE enum err pubsub_settings_check_flags(const struct command_context *context,
                                              struct why *why);

// "Pub/Sub project shop at pubsub.googleapis.com:443 as till@shop.iam.gserviceaccount.com", on standard
// error unless --quiet.
void pubsub_settings_say_target(struct command_context *context,
                                const struct bus_pubsub_options *options);

// The names and times for till setup and till doctor.
void pubsub_settings_wishes(const struct config *config, struct setup_wishes *out_wishes);

#endif
