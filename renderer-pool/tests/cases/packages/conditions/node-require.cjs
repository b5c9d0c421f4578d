exports.self = "node require";
