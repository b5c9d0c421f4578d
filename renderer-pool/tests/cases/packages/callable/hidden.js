exports.hidden = 1;
