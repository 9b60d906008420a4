// Makes the process "die" at the n-th call of the bus or the store: that call answers ERR_IO, either
// without having done its work or after it, and so does every call from then on. The test then
// crashes the rig and opens it again. Wraps the operations of an open rig; opening it again brings
// the real ones back, unless seam_fault_follow is called.
#ifndef TILL_SEAM_FAULT_H
#define TILL_SEAM_FAULT_H

#include "rig.h"

enum seam_death {
    SEAM_BEFORE, // the call's work is not done
    SEAM_AFTER,  // it is done, but nobody learns of it
};

// From now on counts the calls; the nth dies (0: none). One rig at a time.
void seam_fault_arm(struct rig *rig, uint64_t nth, enum seam_death death);
void seam_fault_follow(struct rig *rig); // goes on counting in a rig that was opened again
void seam_fault_disarm(void);            // who lives, lives on; hit and count stay to be asked
bool seam_fault_hit(void);
uint64_t seam_fault_count(void); // calls since the last arm

#endif
