/** Why the gateway itself ends branches, as values of Reason (RFC 3326 §2). */
export const CANCELLED_BY_CALLER = ['SIP;cause=487;text="Request Terminated"']
export const ANSWERED_ELSEWHERE = ['SIP;cause=200;text="Call completed elsewhere"']
export const HOLD_OVER = ['SIP;cause=480;text="Temporarily Unavailable"']
