// As whom the program speaks to Google Cloud, for people: the same places are looked into as gRPC's
// default credentials are taken from. https://cloud.google.com/docs/authentication/application-default-credentials
#ifndef TILL_PUBSUB_IDENTITY_H
#define TILL_PUBSUB_IDENTITY_H

#include "text.h"

#define PUBSUB_IDENTITY_MAX 400

// "service account till@shop.iam.gserviceaccount.com", or as much as can be told without asking the
// service. Reads at most two small files.
void pubsub_identity_describe(char *out, size_t size);

// The same of the text of a credentials file: "service account till@...", "a user of gcloud". Secrets in
// it are not looked at.
void pubsub_identity_of_file(struct text content, char *out, size_t size);

#endif
