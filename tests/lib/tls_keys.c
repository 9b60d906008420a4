#include "tls_keys.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400L

static void must(bool done, const char *what)
{
    if (!done) {
        (void)fprintf(stderr, "tls_keys: %s\n", what);
        ERR_print_errors_fp(stderr);
        abort();
    }
}

static FILE *open_file(const char *folder, const char *name, const char *ending, const char *mode)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    FILE *file = size > 0 && (size_t)size < sizeof path ? fopen(path, mode) : NULL;
    must(file != NULL, path);
    return file;
}

static void save(const char *folder, const char *name, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = open_file(folder, name, "pem", "w");
    must(PEM_write_X509(file, certificate) == 1 && fclose(file) == 0, "writing a certificate");
    file = open_file(folder, name, "key", "w");
    must(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(file) == 0,
         "writing a key");
}

static X509 *load_certificate(const char *folder, const char *name)
{
    FILE *file = open_file(folder, name, "pem", "r");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    must(certificate != NULL && fclose(file) == 0, name);
    return certificate;
}

static EVP_PKEY *load_key(const char *folder, const char *name)
{
    FILE *file = open_file(folder, name, "key", "r");
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    must(key != NULL && fclose(file) == 0, name);
    return key;
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

// Without its issuer and signature.
static X509 *make_certificate(const char *name, EVP_PKEY *key, long from_s, long until_s)
{
    static long serial;
    X509 *certificate = X509_new();
    must(certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
             ASN1_INTEGER_set(X509_get_serialNumber(certificate),
                              __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED)) == 1 &&
             X509_gmtime_adj(X509_getm_notBefore(certificate), from_s) != NULL &&
             X509_gmtime_adj(X509_getm_notAfter(certificate), until_s) != NULL &&
             X509_set_pubkey(certificate, key) == 1 &&
             X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                        (const unsigned char *)name, -1, -1, 0) == 1,
         "making a certificate");
    return certificate;
}

static void sign(X509 *certificate, const X509 *issuer, EVP_PKEY *issuer_key)
{
    must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
             X509_sign(certificate, issuer_key, EVP_sha256()) > 0,
         "signing a certificate");
}

void tls_keys_make_authority(const char *folder, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(key != NULL, "making a key");
    X509 *certificate = make_certificate(name, key, -DAY_S, DAY_S);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    sign(certificate, certificate, key);
    save(folder, name, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void tls_keys_issue(const char *folder, const char *authority, const char *name,
                    const char *alt_names, int days)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *issuer = load_certificate(folder, authority);
    EVP_PKEY *issuer_key = load_key(folder, authority);
    must(key != NULL, "making a key");
    long from_s = days < 0 ? 2 * days * DAY_S : -60; // clocks differ
    X509 *certificate = make_certificate(name, key, from_s, days * DAY_S);
    if (alt_names != NULL) {
        add_extension(certificate, NID_subject_alt_name, alt_names);
    }
    sign(certificate, issuer, issuer_key);
    save(folder, name, certificate, key);
    X509_free(certificate);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
}
