"""Health, metrics and pages: no patient data, no secrets."""
