module.exports = require("./lib/inner");
