DROP INDEX key_changes_token_ids;
