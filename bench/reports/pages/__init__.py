"""Pages: functions of the analysis that return documents."""
