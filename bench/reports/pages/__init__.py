"""Pages: functions that turn the analysis into documents."""
