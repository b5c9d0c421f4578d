module.exports = { ...require("./lib/inner"), more: 1 };
