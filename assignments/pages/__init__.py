"""Pages of assignment: workload, catch-all queue, rules with their simulator, pools, fairness."""
