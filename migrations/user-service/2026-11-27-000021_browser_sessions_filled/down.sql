-- The columns go with the step before; what they held is in others that stay.
SELECT 1;
