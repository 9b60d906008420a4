// Keys and certificates for tests of TLS, good ones and each kind of bad one, made in a moment (elliptic
// curve P-256). What cannot go wrong in a test and does ends the process. Any thread.
#ifndef TILL_TLS_KEYS_H
#define TILL_TLS_KEYS_H

// Makes FOLDER/NAME.pem and FOLDER/NAME.key of an authority that signs itself, for a day.
void tls_keys_make_authority(const char *folder, const char *name);

// Makes FOLDER/NAME.pem and FOLDER/NAME.key, signed by that authority of the same folder. alt_names is as
// in "IP:127.0.0.1,DNS:localhost"; NULL: none. Valid from now on for so many days; negative: it was until
// then, and is no more.
void tls_keys_issue(const char *folder, const char *authority, const char *name,
                    const char *alt_names, int days);

#endif
