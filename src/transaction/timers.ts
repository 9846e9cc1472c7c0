/** RFC 3261 table 4, in ms, for an unreliable transport. */
export const T1 = 500
export const T2 = 4_000
export const T4 = 5_000

/** Timers B, F, H, J, D (UDP: more than 32 s) and RFC 6026's L and M. */
export const SIXTY_FOUR_T1 = 64 * T1

/**
 * How many finished transactions are remembered to absorb retransmissions. RFC 3261 wants 32 s of them: at 500 new ones
 * a second, which is far above what a contact centre of a thousand agents makes, that is this many, about 1 kB each.
 * Under more load the oldest is forgotten early, so that a flood of calls cannot eat the memory, nor the time the
 * garbage collector takes to walk it (docs/deviations.md).
 */
export const MAX_LINGERING = 16_384
