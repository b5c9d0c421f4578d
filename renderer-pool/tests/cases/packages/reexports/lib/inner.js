exports.assigned = 1;
