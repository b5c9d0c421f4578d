exports.seen = require("./index").early;
