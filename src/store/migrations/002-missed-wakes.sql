-- Pushes APNs accepted in a row that the device gave no sign of life after: --suspect-after outlives a restart.
ALTER TABLE device ADD COLUMN missed_wakes INTEGER NOT NULL DEFAULT 0;
