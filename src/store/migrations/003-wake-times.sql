-- JSON array of ms, the newest last: how long the device took to wake, of which calls learn how long to wait for it.
ALTER TABLE device ADD COLUMN wake_times TEXT NOT NULL DEFAULT '[]';
