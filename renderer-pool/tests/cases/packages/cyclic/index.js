exports.early = 1;
exports.seen = require("./other").seen;
exports.late = 2;
