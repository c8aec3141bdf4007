"""The verbs by subject: what is heard, what is bought, what runs. Together they are the Recorder."""
